/* threads.c: the thread pool, counted memory, and the floating-point state that kernels run under.

   The pool is our own: it survives fork (the child forgets the workers and starts its own when needed), ships no run-time
   library, and is held by one run at a time; whoever does not get it works alone. The caller is thread 0 and takes part.
   Each thread has a queue, one atomic word (generation, end, next): it claims its own jobs first, so that its cache keeps
   its share from phase to phase, then those of others. A phase is done when its jobs are done, whoever did them: a worker
   that the system has taken off its core holds up nobody. Workers spin briefly, then sleep. */
#define _GNU_SOURCE
#include "execute.h"
#include "wait.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory ---- */
static _Atomic int64_t allocations;

/* Large pieces lie in pages of 2 MB where the system has them: planes of images are far apart, and with 4 KB pages kernels
   would spend their time on looking addresses up. */
void *fastnn_allocate(size_t bytes) {
    const size_t huge = (size_t)2 << 20, align = bytes >= huge / 4 ? huge : 128;
    void *memory = NULL;
    size_t size = bytes ? (bytes + align - 1) / align * align : align;
    if (size < bytes || posix_memalign(&memory, align, size)) return NULL;
#ifdef MADV_HUGEPAGE
    if (align == huge) madvise(memory, size, MADV_HUGEPAGE);          /* refused: small pages, as before */
#endif
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return memset(memory, 0, size);
}
void fastnn_free(void *memory) { free(memory); }
int64_t fastnn_allocations(void) { return atomic_load(&allocations); }

int64_t fastnn_l2_bytes(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? bytes : 0;
#else
    return 0;
#endif
}

/* ---- floating-point state: round to nearest, no exception traps, denormals flushed ---- */
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
static uint64_t get_float_state(void) { return _mm_getcsr(); }
static void set_float_state(uint64_t state) { _mm_setcsr((unsigned)state); }
static const uint64_t kernel_float_state = 0x1f80 | 0x8000 | 0x0040;  /* all masked | flush to zero | denormals are zero */
#else
static uint64_t get_float_state(void) { uint64_t s; __asm__ volatile("mrs %0, fpcr" : "=r"(s)); return s; }
static void set_float_state(uint64_t s) { __asm__ volatile("msr fpcr, %0" : : "r"(s) : "memory"); }
static const uint64_t kernel_float_state = 1u << 24;
#endif
uint64_t fastnn_float_state_enter(void) {
    uint64_t state = get_float_state();
    set_float_state(kernel_float_state);
    return state;
}
void fastnn_float_state_leave(uint64_t state) { set_float_state(state); }

/* ---- how many threads ---- */
/* CPUs' worth of time that a cgroup file grants: "quota period" (v2), or two files (v1). 0: no limit. */
static double cgroup_quota(const char *quota_path, const char *period_path) {
    char text[64] = "";
    double quota = -1, period = 100000;
    FILE *f = fopen(quota_path, "r");
    if (!f) return 0;
    if (!fgets(text, sizeof text, f) || sscanf(text, "%lf %lf", &quota, &period) < 1) quota = -1;
    fclose(f);
    if (period_path && (f = fopen(period_path, "r"))) {
        if (fscanf(f, "%lf", &period) != 1) period = 100000;
        fclose(f);
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double smallest_quota(void) {
    double smallest = cgroup_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    char line[1024], path[1280], group[1024] = "";
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (f) {
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "0::", 3) == 0) { line[strcspn(line, "\n")] = 0; strcpy(group, line + 3); }
        fclose(f);
    }
    for (;;) {  /* a parent's limit counts too */
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        double quota = cgroup_quota(path, NULL);
        if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
        char *slash = strrchr(group, '/');
        if (!slash) return smallest;
        *slash = 0;
    }
}

int64_t fastnn_default_threads(void) {
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) threads = CPU_COUNT(&set);
#endif
    double quota = smallest_quota();
    if (quota > 0 && quota < threads) threads = (int64_t)(quota + 0.999);
    return threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
}

/* ---- the pool ---- */
enum { NEXT_BITS = 20, MAX_JOBS = (1 << NEXT_BITS) - 1, SPIN_NS = 200000, OFTEN_NS = SPIN_NS, SPINS_BETWEEN_LOOKS = 64, PATIENCE_NS = 1000000 };
/* a queue: generation << 40 | end << 20 | next */
static uint64_t queue_word(uint64_t generation, uint64_t next, uint64_t end) {
    return generation << (2 * NEXT_BITS) | end << NEXT_BITS | next;
}
static uint64_t queue_generation(uint64_t word) { return word >> (2 * NEXT_BITS); }

typedef struct pool pool;
typedef struct {
    _Alignas(128) _Atomic uint64_t queue;
    _Alignas(128) atomic_int asleep, stop, poked;
    int index;
    pool *pool;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    float *scratch;
} worker;

struct pool {
    int threads;  /* the caller and threads - 1 workers that are running */
    int kept_off; /* the core that workers leave to the caller */
    int crowded;  /* more threads than cores: whoever waits yields (else not: a yield gives a busy neighbour a whole slice) */
    int64_t last_missed; /* when a run last found a worker asleep, ns */
    uint64_t generation;
    fastnn_pool_job job;
    void *context;
    int64_t first, participants;
    _Alignas(128) _Atomic int64_t done;
    _Alignas(128) worker workers[];  /* [0]: the caller's queue */
};

static pool *the_pool;            /* NULL: not started */
static atomic_int held;           /* by a run, or by set_num_threads */
static _Atomic int64_t wanted;    /* threads; 0: not yet asked for */

static int claim(worker *owner, uint64_t generation, int64_t *index) {
    uint64_t word = atomic_load_explicit(&owner->queue, memory_order_acquire);
    for (;;) {
        uint64_t next = word & MAX_JOBS, end = word >> NEXT_BITS & MAX_JOBS;
        if (queue_generation(word) != generation || next >= end) return 0;
        if (atomic_compare_exchange_weak_explicit(&owner->queue, &word, word + 1, memory_order_acq_rel, memory_order_acquire)) {
            *index = next;
            return 1;
        }
    }
}

/* What `job` and `context` say is read after a claim only: they change only when every claimed job is done. */
static void work(pool *p, int self, uint64_t generation, int64_t participants, float *scratch) {
    int64_t index;
    for (int64_t k = 0; k < participants; k++) {
        worker *owner = &p->workers[(self + k) % participants];
        while (claim(owner, generation, &index)) {
            p->job(p->context, p->first + index, scratch);
            atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
        }
    }
}

/* Spins until something other than `generation` is queued; after a while sleeps. */
static uint64_t wait_for_work(worker *w, uint64_t seen) {
    int64_t spins = 0, start = 0;
    for (;;) {
        uint64_t generation = queue_generation(atomic_load_explicit(&w->queue, memory_order_acquire));
        if (generation != seen || atomic_load_explicit(&w->stop, memory_order_relaxed)) return generation;
        relax();
        if (++spins % SPINS_BETWEEN_LOOKS) continue;
        if (w->pool->crowded) sched_yield();
        if (start == 0) start = now_ns();
        if (now_ns() - start < SPIN_NS) continue;
        pthread_mutex_lock(&w->mutex);
        atomic_store(&w->asleep, 1);  /* before the last look: the other side queues, then looks at asleep */
        while (queue_generation(atomic_load(&w->queue)) == seen && !atomic_load(&w->stop) && !atomic_load(&w->poked))
            pthread_cond_wait(&w->cond, &w->mutex);
        atomic_store(&w->asleep, 0);
        atomic_store(&w->poked, 0);
        pthread_mutex_unlock(&w->mutex);
        spins = start = 0;
    }
}

static void *worker_main(void *argument) {
    worker *w = argument;
    pool *p = w->pool;
    uint64_t seen = 0;
    set_float_state(kernel_float_state);
    while (!atomic_load_explicit(&w->stop, memory_order_acquire)) {
        uint64_t generation = wait_for_work(w, seen);
        if (generation == seen) continue;
        seen = generation;
        /* participants may already belong to a later phase; then every claim below fails by its generation */
        work(p, w->index, generation, __atomic_load_n(&p->participants, __ATOMIC_ACQUIRE), w->scratch);
    }
    return NULL;
}

/* Some schedulers put a thread on its waker's core, where it waits for as long as the waker works: the caller's core is its own.
   Where it has moved since, the workers make way. */
static void keep_off_callers_core(pool *p) {
#ifdef __linux__
    cpu_set_t set;
    int core = sched_getcpu();
    if (core == p->kept_off || p->crowded || core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set)) return;
    CPU_CLR(core, &set);
    p->kept_off = core;
    for (int i = 1; i < p->threads && CPU_COUNT(&set); i++) pthread_setaffinity_np(p->workers[i].thread, sizeof set, &set);
#else
    (void)p;
#endif
}

static void wake(worker *w) {
    pthread_mutex_lock(&w->mutex);
    atomic_store(&w->poked, 1);
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void stop_pool(void) {
    pool *p = the_pool;
    the_pool = NULL;
    for (int i = 1; p && i < p->threads; i++) {
        atomic_store(&p->workers[i].stop, 1);
        wake(&p->workers[i]);
        pthread_join(p->workers[i].thread, NULL);
        fastnn_free(p->workers[i].scratch);
    }
    fastnn_free(p);
}

static int start_worker(pool *p, int index) {
    worker *w = &p->workers[index];
    w->index = index;
    w->pool = p;
    w->scratch = fastnn_allocate(SCRATCH_FLOATS * sizeof(float));
    if (!w->scratch) return -1;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->cond, NULL);
    sigset_t all, before;
    sigfillset(&all);  /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) fastnn_free(w->scratch);
    return failed ? -1 : 0;
}

/* Fewer threads where the system gives no more. */
static void start_pool(int threads) {
    void *memory = fastnn_allocate(sizeof(pool) + threads * sizeof(worker));
    if (!memory) return;
    pool *p = memory;
    p->threads = 1;
    p->kept_off = -1;
    p->crowded = threads > fastnn_default_threads();
    while (p->threads < threads && start_worker(p, p->threads) == 0) p->threads++;
    the_pool = p;
}

static void hold(void) {
    int expected = 0;
    while (!atomic_compare_exchange_weak(&held, &expected, 1)) { expected = 0; sched_yield(); }
}

int64_t fastnn_get_num_threads(void) {
    int64_t threads = atomic_load(&wanted);
    if (threads == 0) atomic_store(&wanted, threads = fastnn_default_threads());
    return threads;
}

int fastnn_set_num_threads(int64_t threads) {
    if (threads < 1 || threads > MAX_THREADS) return -1;
    hold();
    if (atomic_exchange(&wanted, threads) != threads) stop_pool();
    atomic_store(&held, 0);
    return 0;
}

int64_t fastnn_pool_acquire(void) {
    int expected = 0;
    int64_t threads = fastnn_get_num_threads();
    if (threads == 1 || !atomic_compare_exchange_strong(&held, &expected, 1)) return 1;
    if (!the_pool) start_pool((int)threads);
    if (the_pool && the_pool->threads > 1) return the_pool->threads;
    atomic_store(&held, 0);
    return 1;
}
void fastnn_pool_release(void) { atomic_store(&held, 0); }

/* Runs too small to wait for a sleeper, but close to each other: the sleeper is woken for those to come. */
static int come_often(pool *p) {
    int64_t now = now_ns(), since = now - p->last_missed;
    p->last_missed = now;
    return since < OFTEN_NS;
}

int fastnn_pool_ready(int64_t threads, int may_wake) {
    pool *p = the_pool;
    int asleep = 0;
    for (int64_t i = 1; i < threads && !may_wake; i++) asleep |= atomic_load(&p->workers[i].asleep);
    if (asleep && !come_often(p)) return 0;
    keep_off_callers_core(p);
    for (int64_t i = 1; i < threads; i++)
        if (atomic_load(&p->workers[i].asleep)) wake(&p->workers[i]);
    return !asleep;
}

static void wait_for_done(pool *p, int64_t count) {
    int64_t start = 0;
    for (int64_t spins = 1; atomic_load_explicit(&p->done, memory_order_acquire) != count; spins++) {
        relax();
        if (spins % SPINS_BETWEEN_LOOKS) continue;
        if (start == 0) start = now_ns();
        if (p->crowded || now_ns() - start > PATIENCE_NS) sched_yield();
    }
}

static void run_some(pool *p, int64_t count, const int64_t *bounds, int64_t threads, float *scratch) {
    uint64_t generation = p->generation = (p->generation + 1) & 0xffffff;
    if (generation == 0) generation = p->generation = 1;
    __atomic_store_n(&p->participants, threads, __ATOMIC_RELEASE);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    for (int64_t i = threads - 1; i >= 0; i--) {
        const int64_t first = bounds ? bounds[i] : i * count / threads, end = bounds ? bounds[i + 1] : (i + 1) * count / threads;
        atomic_store(&p->workers[i].queue, queue_word(generation, first, end));
    }
    work(p, 0, generation, threads, scratch);
    wait_for_done(p, count);
}

/* By the run that holds the pool: job(context, 0 .. count - 1), shared by the first `threads` threads: thread t has jobs bounds[t]
   .. bounds[t + 1] - 1 for its own (NULL, or very many jobs: equal shares). Sleepers are not woken: their share is taken by the
   others. */
void fastnn_pool_run(fastnn_pool_job job, void *context, int64_t count, const int64_t *bounds, int64_t threads, float *scratch) {
    pool *p = the_pool;
    p->job = job;
    p->context = context;
    if (count > MAX_JOBS) bounds = NULL;
    for (p->first = 0; p->first < count; p->first += MAX_JOBS)
        run_some(p, count - p->first < MAX_JOBS ? count - p->first : MAX_JOBS, bounds, threads, scratch);
}

/* ---- scratch of threads that call ---- */
static pthread_key_t scratch_key;

float *fastnn_scratch(void) {
    float *scratch = pthread_getspecific(scratch_key);
    if (scratch) return scratch;
    scratch = fastnn_allocate(SCRATCH_FLOATS * sizeof(float));
    if (scratch && pthread_setspecific(scratch_key, scratch)) { fastnn_free(scratch); return NULL; }
    return scratch;
}

/* The workers are not in the child; their memory and the pool's is given up, since they may have been anywhere in it. */
static void forget_pool(void) {
    the_pool = NULL;
    atomic_store(&held, 0);
}

__attribute__((constructor)) static void start(void) {
    pthread_key_create(&scratch_key, fastnn_free);
    pthread_atfork(NULL, NULL, forget_pool);
}
