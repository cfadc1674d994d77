/* Python threads that call at once share the interpreter's lock. One that comes back from the core while another is in the
   interpreter for the 1 to 2 us between two small calls would sleep, and is woken only after 5 us and more. So it waits awake
   until that one has gone, for as long as such a turn takes at most. */
#include <stdatomic.h>
#include "execute.h"
#include "wait.h"

enum { TURN_NS = 12000 };
static _Atomic int64_t begun;     /* when the latest turn began; 0: it is over */

void fastnn_turn_over(void) { atomic_store_explicit(&begun, 0, memory_order_relaxed); }

void fastnn_turn_wait(void) {
    for (;;) {
        const int64_t since = atomic_load_explicit(&begun, memory_order_relaxed);
        if (!since || now_ns() - since > TURN_NS) return;
        relax();
    }
}

void fastnn_turn_begin(void) { atomic_store_explicit(&begun, now_ns(), memory_order_relaxed); }
