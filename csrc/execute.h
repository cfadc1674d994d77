/* execute.h: what the Cython module sees of the C core. No Python here either.

   Functions marked [serial] are called by one thread at a time (the caller holds a lock, Python's GIL); everything they
   guard survives a fork, since whoever forks holds that lock too. fastnn_run is called by any number of threads at once. */
#ifndef FASTNN_EXECUTE_H
#define FASTNN_EXECUTE_H
#include "fastnn.h"

/* ---- dispatch.c ---- */
enum { SPACE_ROW, SPACE_GROUPS, SPACE_REDUCE, SPACE_SUM, SPACE_FLAT };
typedef struct { const char *name, *space_name, *fields; int64_t space, words; } fastnn_kernel_info;
typedef struct { const char *name; int64_t operands; } fastnn_elementwise_info;
typedef const kernel_fn (*fastnn_table)[2];
extern const fastnn_kernel_info fastnn_kernels[];
extern const int64_t fastnn_kernel_count;
extern const fastnn_elementwise_info fastnn_elementwise[];
extern const int64_t fastnn_elementwise_count;
int64_t fastnn_targets(const char **names, int64_t room);  /* those this CPU can run, best first; returns how many */
const char *fastnn_target(void);
int fastnn_set_target(const char *name);                   /* 0, or -1: not possible here */
fastnn_table fastnn_current_table(void);
fastnn_table fastnn_table_of(const char *target);          /* NULL: not possible here */

/* ---- threads.c ---- */
enum { MAX_THREADS = 256 };
typedef void (*fastnn_pool_job)(void *context, int64_t index, float *scratch);
void *fastnn_allocate(size_t bytes);                       /* 128-byte aligned, zeroed, its pages touched; NULL: no memory */
void fastnn_free(void *memory);
int64_t fastnn_allocations(void);
int64_t fastnn_l2_bytes(void);                             /* of a core; 0: not known */
int64_t fastnn_default_threads(void);
int64_t fastnn_get_num_threads(void);
int fastnn_set_num_threads(int64_t threads);               /* waits for runs that hold the pool; without the lock */
int64_t fastnn_pool_acquire(void);                         /* threads that may take part, 1 if another run holds the pool */
void fastnn_pool_release(void);
int fastnn_pool_ready(int64_t threads, int may_wake);      /* are the first `threads` awake, or made so? */
void fastnn_pool_run(fastnn_pool_job job, void *context, int64_t count, const int64_t *bounds, int64_t threads, float *scratch);
float *fastnn_scratch(void);                               /* the calling thread's; NULL: no memory */
uint64_t fastnn_float_state_enter(void);
void fastnn_float_state_leave(uint64_t state);

/* ---- execute.c ---- */
enum { WORD_CONSTANT, WORD_INTEGER, WORD_DOUBLE, WORD_EXTERNAL, WORD_FIXED, WORD_FLAT, WORD_GROUP, WORD_SLOT, WORD_RESULT,
       WORD_GROUP_STRIDE, WORD_KINDS };
enum { PHASE_CHAIN, PHASE_EACH, PHASE_SHARED };
enum { SLOTS_AN_ARRAY = 8 };                               /* dtype, row_stride, strides[6] */

typedef struct { int64_t kind, a, b, c; } fastnn_word;
/* cost: of a group; where the step `grows`, of 64 rows; else of the step. split: the same, as far as threads may share it */
typedef struct { int64_t kernel, lanes, per_group, cost, split, grows, check, first_word, words; } fastnn_step;
typedef struct { int64_t kind, first, last; } fastnn_phase;
typedef struct { int64_t first, last; } fastnn_segment;    /* phases */

/* One run's memory, and its steps' arguments as last filled in. */
typedef struct fastnn_arena {
    char *memory, *fixed, *flat, *group;
    size_t capacity;
    int64_t n;
    void **externals;      /* inputs, outputs */
    int64_t *slots, *words, *errors, *parts, *share;
    uint64_t filled_for;   /* the serial of the binding, the region and n that `words` hold, 0: nothing yet */
    const struct fastnn_region *filled_region;
    int64_t filled_n, in_run;
} fastnn_arena;

enum { FREE_ARENAS = 8 };
typedef struct {
    int64_t lanes, n_steps, n_words, n_phases, n_segments, n_inputs, n_outputs, n_states, n_slots;
    int64_t fixed_bytes, row_bytes, group_bytes, constant_bytes;
    fastnn_step *steps;
    fastnn_word *words;
    fastnn_phase *phases;
    fastnn_segment *segments;
    int64_t *volatile_words, n_volatile;                   /* words that change from run to run: arrays and slots */
    fastnn_arena *free_arenas[FREE_ARENAS];
    int64_t n_free;
} fastnn_program;

/* How Python learns that a state changed: the version moves when the last view of it is released. */
typedef struct { int64_t version, exports; } fastnn_stamp;

/* What the prologue computed from the states at these versions. A run uses the region it began with, to its end. */
typedef struct fastnn_region { struct fastnn_region *next; char *memory; int64_t users; int64_t *versions; } fastnn_region;

typedef struct {
    fastnn_program *program;
    uint64_t serial;
    void **states;
    const fastnn_stamp **stamps;
    fastnn_region *current, *regions;
} fastnn_binding;

/* Where that step's check failed with `error`; or step is ALL_WELL or NO_MEMORY. */
enum { ALL_WELL = -1, NO_MEMORY = -2 };
typedef struct { int64_t step, error; } fastnn_result;

const char *fastnn_program_check(const fastnn_program *p, int64_t *step, int64_t *word);  /* NULL, or what is wrong where */
int fastnn_program_finish(fastnn_program *p);              /* after the arrays are filled in; -1: no memory */
void fastnn_program_free(fastnn_program *p);               /* [serial] */
extern int fastnn_poison;                                  /* tests: leased arenas come filled with NaN */
fastnn_arena *fastnn_arena_lease(fastnn_program *p, int64_t n);                 /* [serial] NULL: no memory */
void fastnn_arena_release(fastnn_program *p, fastnn_arena *arena);              /* [serial] */
void fastnn_binding_start(fastnn_binding *b);              /* [serial] once the program, states and stamps are filled in */
void fastnn_binding_free(fastnn_binding *b);               /* [serial] */
/* [serial] The region to run with (NULL where the program has none: *failed tells that from no memory). *stale: run segment 0
   first, then fastnn_region_done. */
fastnn_region *fastnn_region_lease(fastnn_binding *b, int64_t *stale, int64_t *failed);
void fastnn_region_done(fastnn_binding *b, fastnn_region *region);              /* [serial] */
void fastnn_region_release(fastnn_region *region);         /* [serial] */
/* Around a run without the interpreter's lock (turns.c): after it was given back, before it is taken, after it was taken. */
void fastnn_turn_over(void);
void fastnn_turn_wait(void);
void fastnn_turn_begin(void);
fastnn_result fastnn_run(fastnn_binding *b, fastnn_arena *arena, fastnn_region *region, int64_t prologue, int64_t segment);
int64_t fastnn_run_kernel(kernel_fn kernel, const void *args, job j);           /* -> the error it set; -1: no memory */

#endif
