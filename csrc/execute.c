/* execute.c: runs programs, which are plans encoded as plain numbers.

   A program is a list of steps (a kernel and how to fill in each word of its arguments), grouped into phases and segments.
   Segment 0, the prologue, depends on the states alone; its results lie in a region that is kept until a state changes.
   The arguments stay filled in with the arena: a run that finds them so changes only what arrays and slots bring.

   A CHAIN phase takes one group of images through all its steps, one job a group: no barrier, warm caches. Groups left over
   when they do not divide among the threads are cut the other way: step after step, each cut into parts.
   A SHARED phase is one step for all groups, a part of its outputs a thread.
   An EACH phase cuts independent steps into parts by their cost, one barrier for all. Bits do not depend on any of this. */
#include "execute.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- programs ---- */
static int64_t region_bytes(const fastnn_program *p, int64_t kind) {
    return kind == WORD_FIXED ? p->fixed_bytes : kind == WORD_GROUP ? p->group_bytes * p->lanes
         : kind == WORD_RESULT ? p->constant_bytes : INT64_MAX;
}

static int64_t slot_count(const fastnn_program *p) {
    return SLOTS_AN_ARRAY * (p->n_inputs + p->n_outputs) + p->n_slots;
}

static const char *check_word(const fastnn_program *p, const fastnn_word *w) {
    switch (w->kind) {
    case WORD_CONSTANT: case WORD_DOUBLE: case WORD_GROUP_STRIDE: return NULL;
    case WORD_INTEGER: return w->b == 0 ? "divides by zero" : NULL;
    case WORD_EXTERNAL: return w->a < 0 || w->a >= p->n_inputs + p->n_outputs + p->n_states ? "no such external" : NULL;
    case WORD_SLOT: return w->a < 0 || w->a >= slot_count(p) ? "no such slot" : NULL;
    case WORD_FIXED: case WORD_GROUP: case WORD_RESULT: case WORD_FLAT:
        return w->a < 0 || w->a > region_bytes(p, w->kind) ? "lies outside its region" : NULL;
    default: return "is of an unknown kind";
    }
}

const char *fastnn_program_check(const fastnn_program *p, int64_t *step, int64_t *word) {
    *step = *word = -1;
    if (p->lanes != 1 && p->lanes != 16) return "lanes must be 1 or 16";
    if (p->fixed_bytes < 0 || p->row_bytes < 0 || p->group_bytes < 0 || p->constant_bytes < 0) return "a size is negative";
    if ((p->fixed_bytes | p->row_bytes | p->group_bytes) % 4) return "sizes must be multiples of 4 bytes";
    for (int64_t s = 0; s < p->n_segments; s++)
        if (p->segments[s].first < 0 || p->segments[s].first > p->segments[s].last || p->segments[s].last > p->n_phases)
            return "a segment names phases that do not exist";
    for (int64_t i = 0; i < p->n_phases; i++) {
        const fastnn_phase *f = &p->phases[i];
        if (f->kind < PHASE_CHAIN || f->kind > PHASE_SHARED) return "a phase is of an unknown kind";
        if (f->first < 0 || f->first > f->last || f->last > p->n_steps) return "a phase names steps that do not exist";
        for (int64_t s = f->first; s < f->last; s++)
            if (p->steps[s].per_group != (f->kind != PHASE_EACH)) return "steps and phase disagree about per_group";
    }
    for (int64_t s = 0; s < p->n_steps; s++) {
        const fastnn_step *st = &p->steps[s];
        *step = s;
        if (st->kernel < 0 || st->kernel >= fastnn_kernel_count) return "no such kernel";
        if (st->lanes != 1 && st->lanes != 16) return "lanes must be 1 or 16";
        if (!fastnn_current_table()[st->kernel][st->lanes == 16]) return "the kernel is not made for these lanes";
        if (st->words != fastnn_kernels[st->kernel].words) return "the number of words is not the kernel's";
        for (int64_t w = 0; w < st->words; w++) {
            const char *problem = check_word(p, &p->words[st->first_word + w]);
            if (problem) { *word = w; return problem; }
        }
    }
    return NULL;
}

static int is_volatile(const fastnn_program *p, const fastnn_word *w) {
    return w->kind == WORD_SLOT || (w->kind == WORD_EXTERNAL && w->a < p->n_inputs + p->n_outputs);
}

int fastnn_program_finish(fastnn_program *p) {
    p->volatile_words = fastnn_allocate(p->n_words * sizeof(int64_t));
    if (!p->volatile_words) return -1;
    for (int64_t i = 0; i < p->n_words; i++)
        if (is_volatile(p, &p->words[i])) p->volatile_words[p->n_volatile++] = i;
    return 0;
}

static void arena_free(fastnn_arena *arena) {
    if (arena) fastnn_free(arena->memory);
    fastnn_free(arena);
}

void fastnn_program_free(fastnn_program *p) {
    if (!p) return;
    for (int64_t i = 0; i < p->n_free; i++) arena_free(p->free_arenas[i]);
    fastnn_free(p->steps);
    fastnn_free(p->words);
    fastnn_free(p->phases);
    fastnn_free(p->segments);
    fastnn_free(p->volatile_words);
    fastnn_free(p);
}

/* ---- arenas ---- */
int fastnn_poison;

static int64_t round64(int64_t bytes) { return (bytes + 63) / 64 * 64; }
static int64_t group_count(const fastnn_program *p, int64_t n) { return (n + p->lanes - 1) / p->lanes; }

/* 0 where the sizes overflow, or n is negative. */
static size_t arena_bytes(const fastnn_program *p, int64_t n) {
    int64_t flat, group, total;
    if (n < 0 || __builtin_mul_overflow(n, p->row_bytes, &flat)
        || __builtin_mul_overflow(group_count(p, n), p->group_bytes, &group)
        || __builtin_add_overflow(flat, group, &total)
        || __builtin_add_overflow(total, p->fixed_bytes + 256, &total)) return 0;
    return (size_t)total;
}

static void arena_place(const fastnn_program *p, fastnn_arena *arena, int64_t n) {
    arena->n = n;
    arena->fixed = arena->memory;
    arena->flat = arena->fixed + round64(p->fixed_bytes);
    arena->group = arena->flat + round64(n * p->row_bytes);
}

/* The small tables of an arena lie behind its struct. */
static fastnn_arena *arena_new(const fastnn_program *p, size_t capacity) {
    size_t externals = (size_t)(p->n_inputs + p->n_outputs), slots = (size_t)slot_count(p);
    size_t tables = externals + slots + (size_t)(p->n_words + 3 * p->n_steps) + 1;
    fastnn_arena *arena = fastnn_allocate(sizeof *arena + 8 * tables);
    if (!arena) return NULL;
    arena->externals = (void **)(arena + 1);
    arena->slots = (int64_t *)(arena->externals + externals);
    arena->words = arena->slots + slots;
    arena->errors = arena->words + p->n_words;
    arena->parts = arena->errors + p->n_steps;
    arena->share = arena->parts + p->n_steps;
    arena->capacity = capacity;
    arena->memory = fastnn_allocate(capacity);
    if (arena->memory) return arena;
    arena_free(arena);
    return NULL;
}

/* Best: one that ran with n before (its arguments are filled in); then one that is large enough; else a new one. */
fastnn_arena *fastnn_arena_lease(fastnn_program *p, int64_t n) {
    size_t bytes = arena_bytes(p, n);
    int64_t best = -1;
    if (bytes == 0) return NULL;
    for (int64_t i = p->n_free - 1; i >= 0; i--) {
        if (p->free_arenas[i]->capacity < bytes) continue;
        best = i;
        if (p->free_arenas[i]->n == n) break;
    }
    fastnn_arena *arena = best < 0 ? arena_new(p, bytes) : p->free_arenas[best];
    if (!arena) return NULL;
    if (best >= 0) p->free_arenas[best] = p->free_arenas[--p->n_free];
    if (fastnn_poison) memset(arena->memory, 0xff, arena->capacity);
    arena_place(p, arena, n);
    return arena;
}

void fastnn_arena_release(fastnn_program *p, fastnn_arena *arena) {
    if (p->n_free < FREE_ARENAS) { p->free_arenas[p->n_free++] = arena; return; }
    int64_t smallest = 0;
    for (int64_t i = 1; i < p->n_free; i++)
        if (p->free_arenas[i]->capacity < p->free_arenas[smallest]->capacity) smallest = i;
    if (p->free_arenas[smallest]->capacity < arena->capacity) {
        arena_free(p->free_arenas[smallest]);
        p->free_arenas[smallest] = arena;
    } else arena_free(arena);
}

/* ---- bindings ---- */
void fastnn_binding_start(fastnn_binding *b) {
    static uint64_t serials;
    b->serial = ++serials;
}

void fastnn_binding_free(fastnn_binding *b) {
    if (!b) return;
    for (fastnn_region *r = b->regions, *next; r; r = next) {
        next = r->next;
        fastnn_free(r->memory);
        fastnn_free(r);
    }
    fastnn_free(b->states);
    fastnn_free(b->stamps);
    fastnn_free(b);
}

static int is_fresh(const fastnn_binding *b, const fastnn_region *region) {
    for (int64_t i = 0; i < b->program->n_states; i++)
        if (b->stamps[i]->exports || b->stamps[i]->version != region->versions[i]) return 0;
    return 1;
}

static fastnn_region *unused_region(fastnn_binding *b) {
    for (fastnn_region *r = b->regions; r; r = r->next)
        if (r->users == 0) return r;
    fastnn_region *r = fastnn_allocate(sizeof *r + 8 * (size_t)b->program->n_states);
    if (!r) return NULL;
    r->versions = (int64_t *)(r + 1);
    r->memory = fastnn_allocate((size_t)b->program->constant_bytes);
    if (!r->memory) { fastnn_free(r); return NULL; }
    r->next = b->regions;
    return b->regions = r;
}

/* A stale region that other runs still use is left to them; the prologue writes into another. So nobody ever waits. */
fastnn_region *fastnn_region_lease(fastnn_binding *b, int64_t *stale, int64_t *failed) {
    *stale = *failed = 0;
    if (b->program->constant_bytes == 0) return NULL;
    fastnn_region *region = b->current;
    if (!region || !is_fresh(b, region)) {
        *stale = 1;
        if (!region || region->users) region = unused_region(b);
        if (!region) { *failed = 1; return NULL; }
        if (region == b->current) b->current = NULL;
        for (int64_t i = 0; i < b->program->n_states; i++) region->versions[i] = b->stamps[i]->version;
    }
    region->users++;
    return region;
}
void fastnn_region_done(fastnn_binding *b, fastnn_region *region) { b->current = region; }
void fastnn_region_release(fastnn_region *region) { if (region) region->users--; }

/* ---- filling in arguments ---- */
static char *moved(void *external, int64_t bytes) { return external ? (char *)external + bytes : NULL; }

static double scaled(int64_t bits, int64_t power, int64_t n) {
    double a;
    memcpy(&a, &bits, 8);
    return power > 0 ? a * (double)n : power < 0 ? a / (double)n : a;
}

static int64_t fill_word(const fastnn_binding *b, const fastnn_arena *arena, const fastnn_region *region,
                         const fastnn_word *w) {
    const fastnn_program *p = b->program;
    int64_t arrays = p->n_inputs + p->n_outputs, bits;
    double number;
    switch (w->kind) {
    case WORD_INTEGER: return w->a * arena->n / w->b + w->c;
    case WORD_DOUBLE:
        number = scaled(w->a, w->b, arena->n);
        memcpy(&bits, &number, 8);
        return bits;
    case WORD_EXTERNAL: return (int64_t)moved(w->a < arrays ? arena->externals[w->a] : b->states[w->a - arrays], w->b);
    case WORD_FIXED: return (int64_t)(arena->fixed + w->a);
    case WORD_FLAT: return (int64_t)(arena->flat + w->a * arena->n);
    case WORD_GROUP: return (int64_t)(arena->group + w->a);
    case WORD_SLOT: return arena->slots[w->a];
    case WORD_RESULT: return (int64_t)(region->memory + w->a);
    case WORD_GROUP_STRIDE: return p->group_bytes / 4;
    default: return w->a;
    }
}

static void fill_arguments(const fastnn_binding *b, fastnn_arena *arena, const fastnn_region *region) {
    const fastnn_program *p = b->program;
    if (arena->filled_for == b->serial && arena->filled_n == arena->n && arena->filled_region == region) {
        for (int64_t i = 0; i < p->n_volatile; i++) {
            int64_t w = p->volatile_words[i];
            arena->words[w] = fill_word(b, arena, region, &p->words[w]);
        }
        return;
    }
    for (int64_t w = 0; w < p->n_words; w++) arena->words[w] = fill_word(b, arena, region, &p->words[w]);
    arena->filled_for = b->serial;
    arena->filled_n = arena->n;
    arena->filled_region = region;
}

/* ---- running ---- */
/* Costs are multiply-adds twice counted ("flops"): a core does 50 or so a nanosecond. */
enum { COST_A_NS = 50, JOB_NS = 1500, SPLIT_NS = 3000, SMALL_NS = 100000, WAKE_NS = 100000 };
enum { TOGETHER = 4, TOGETHER_BYTES = 1 << 18 };        /* most groups that go through a chain together, and their memory */

typedef struct {
    const fastnn_program *program;
    fastnn_arena *arena;
    fastnn_table table;
    int64_t threads;                                  /* that may take part, 1: the pool is not ours */
    float *scratch;
    int64_t first, last, first_group, groups;         /* the steps in hand, and from which group on, how many */
    int64_t bundles;                                  /* of a chain: the groups in hand go through it in so many */
    int64_t shares;                                   /* of the jobs in hand, a share a thread: share t is jobs bounds[t] .. */
    const int64_t *bounds;
} run;

/* Does one call of the step do several groups? */
static int takes_groups(const run *r, int64_t s) {
    const fastnn_step *step = &r->program->steps[s];
    return step->lanes == 16 && fastnn_kernels[step->kernel].space == SPACE_GROUPS;
}

/* Groups first .. first + groups - 1 of step s. */
static void call(const run *r, int64_t s, int64_t first, int64_t groups, int64_t part, int64_t parts, float *scratch) {
    const fastnn_step *step = &r->program->steps[s];
    const kernel_fn kernel = r->table[step->kernel][step->lanes == 16];
    const int64_t at_once = takes_groups(r, s) ? groups : 1;
    for (int64_t g = 0; g < groups; g += at_once)
        kernel(r->arena->words + step->first_word,
               &(job){r->arena->n, first + g, part, parts, scratch, &r->arena->errors[s], at_once});
}

static void chain_job(void *context, int64_t index, float *scratch) {
    const run *r = context;
    const int64_t begin = r->groups * index / r->bundles, end = r->groups * (index + 1) / r->bundles;
    for (int64_t s = r->first; s < r->last; s++) call(r, s, r->first_group + begin, end - begin, 0, 1, scratch);
}

/* Bundles of groups that a chain's jobs are: of one group, but of some where the chain has a step that takes several, and little
   memory. */
static int64_t bundles_of(const run *r, const fastnn_phase *f, int64_t groups, int64_t threads) {
    const int64_t room = TOGETHER_BYTES / (r->program->group_bytes + 1), most = room < TOGETHER ? room : TOGETHER;
    int taken = 0;
    for (int64_t s = f->first; s < f->last; s++) taken |= takes_groups(r, s);
    const int64_t share = (groups + threads - 1) / threads;             /* of a thread */
    if (!taken || most < 2 || share < 2) return groups;
    const int64_t bundles = threads * ((share + most - 1) / most);
    return bundles < groups ? bundles : groups;
}

/* A part of all groups in hand is so many jobs. */
static int64_t jobs_of_part(const run *r, int64_t s) { return takes_groups(r, s) ? 1 : r->groups; }

/* How many of step s's jobs are in a share: those of a share of its parts, so that the same thread has the same part of a weight,
   of its gradient and of its velocity in its cache from phase to phase and from run to run. */
static int64_t jobs_in_share(const run *r, int64_t s, int64_t share) {
    const int64_t parts = r->arena->parts[s], jobs = jobs_of_part(r, s);
    if (parts == 1) return r->arena->share[s] == share ? jobs : 0;
    return jobs * (parts * (share + 1) / r->shares - parts * share / r->shares);
}

/* Jobs of steps first .. last - 1: share after share, in it step after step, each step's parts x groups: a part of all groups
   (one job, where the step takes them), then the next part. */
static void part_job(void *context, int64_t index, float *scratch) {
    const run *r = context;
    int64_t s = r->first, share = 0, count;
    while (r->bounds[share + 1] <= index) share++;
    for (index -= r->bounds[share]; index >= (count = jobs_in_share(r, s, share)); s++) index -= count;
    const int64_t parts = r->arena->parts[s], first = parts * share / r->shares;
    const int64_t jobs = jobs_of_part(r, s), groups = r->groups / jobs;
    call(r, s, r->first_group + index % jobs * groups, groups, first + index / jobs, parts, scratch);
}

static int64_t grown(const run *r, int64_t s, int64_t cost) {
    return r->program->steps[s].grows ? (int64_t)((double)cost * (double)r->arena->n / 64) : cost;
}
static int64_t step_cost(const run *r, int64_t s) { return grown(r, s, r->program->steps[s].cost); }
static int64_t split_cost(const run *r, int64_t s) { return grown(r, s, r->program->steps[s].split); }

static int64_t phase_cost(const run *r, const fastnn_phase *f) {
    int64_t cost = 0;
    for (int64_t s = f->first; s < f->last; s++) cost += step_cost(r, s);
    return f->kind == PHASE_EACH ? cost : cost * group_count(r->program, r->arena->n);
}

/* How many threads should share work of this cost, of which `remaining` (this and what follows it) may pay for waking some.
   Those that are being woken come in time for long work alone. */
static int64_t threads_for(const run *r, int64_t cost, int64_t remaining) {
    int64_t threads = cost / COST_A_NS / JOB_NS;
    if (threads > r->threads) threads = r->threads;
    if (threads < 2 || cost / COST_A_NS < SPLIT_NS) return 1;
    const int ready = fastnn_pool_ready(threads, remaining / COST_A_NS >= WAKE_NS);
    return ready || cost / COST_A_NS >= WAKE_NS ? threads : 1;
}

static void run_jobs(run *r, fastnn_pool_job job, int64_t count, const int64_t *bounds, int64_t threads) {
    if (threads > 1 && count > 1) fastnn_pool_run(job, r, count, bounds, threads, r->scratch);
    else for (int64_t i = 0; i < count; i++) job(r, i, r->scratch);
}

/* With the steps' parts and shares as the arena holds them. */
static void run_part_jobs(run *r, int64_t first, int64_t last, int64_t groups, int64_t threads) {
    int64_t bounds[MAX_THREADS + 1];
    r->first = first, r->last = last, r->groups = groups, r->shares = threads, r->bounds = bounds;
    bounds[0] = 0;
    for (int64_t share = 0; share < threads; share++) {
        bounds[share + 1] = bounds[share];
        for (int64_t s = first; s < last; s++) bounds[share + 1] += jobs_in_share(r, s, share);
    }
    run_jobs(r, part_job, bounds[threads], bounds, threads);
}

/* Steps first .. last - 1, independent of one another, cut into about two parts a thread by cost, small ones into one (a check is never cut: which
   of several errors it reports must not depend on threads). Those that stay whole go to the threads in turn. */
static void run_parts(run *r, int64_t first, int64_t last, int64_t groups, int64_t cost, int64_t threads) {
    int64_t target = cost / (cost < (int64_t)SMALL_NS * COST_A_NS ? threads : 2 * threads), whole = 0, before = 0;
    if (target < (int64_t)JOB_NS * COST_A_NS) target = (int64_t)JOB_NS * COST_A_NS;
    for (int64_t s = first; s < last; s++) {
        int64_t parts = (split_cost(r, s) + target - 1) / target;
        if (threads == 1 || parts <= 1 || r->program->steps[s].check) parts = 1, whole += split_cost(r, s);
        else parts = (parts + threads - 1) / threads * threads;
        r->arena->parts[s] = parts;
    }
    for (int64_t s = first; s < last; s++) {
        if (r->arena->parts[s] > 1) continue;
        const int64_t half = split_cost(r, s) / 2;
        r->arena->share[s] = whole ? threads * (before + half) / (whole + 1) : 0;
        before += split_cost(r, s);
    }
    run_part_jobs(r, first, last, groups, threads);
}

/* One step for all groups, a part of its outputs for each thread, whose cache keeps the weights of that part. */
static void run_shared(run *r, int64_t step, int64_t cost, int64_t threads) {
    int64_t groups = group_count(r->program, r->arena->n);
    if (threads == 1 || groups == 1) {
        run_parts(r, step, step + 1, groups, cost, threads);
        return;
    }
    r->arena->parts[step] = threads;
    run_part_jobs(r, step, step + 1, groups, threads);
}

/* Is there a step that several threads would share? Else one group alone must not wake them. */
static int any_splits(const run *r, const fastnn_phase *f) {
    for (int64_t s = f->first; s < f->last; s++)
        if (split_cost(r, s) / COST_A_NS >= SPLIT_NS) return 1;
    return 0;
}

static void run_chain(run *r, const fastnn_phase *f, int64_t cost, int64_t remaining) {
    const int64_t groups = group_count(r->program, r->arena->n);
    const int64_t threads = groups > 1 || any_splits(r, f) ? threads_for(r, cost, remaining) : 1;
    int64_t whole = groups, rest = groups % threads;
    if (rest && 8 * (threads - rest) > groups + threads - rest) whole -= rest;  /* else an eighth of the time would be lost */
    r->first = f->first;
    r->last = f->last;
    r->first_group = 0;
    r->groups = whole;
    r->bundles = bundles_of(r, f, whole, threads);
    run_jobs(r, chain_job, r->bundles, NULL, threads);
    r->first_group = whole;
    for (int64_t s = f->first; s < f->last && whole < groups; s++) {
        int64_t step = split_cost(r, s) * rest;
        run_parts(r, s, s + 1, rest, step, threads_for(r, step, remaining));
    }
    r->first_group = 0;
}

static int64_t failed_step(const run *r, const fastnn_phase *f) {
    for (int64_t s = f->first; s < f->last; s++)
        if (r->program->steps[s].check && r->arena->errors[s]) return s;
    return -1;
}

static fastnn_result run_segment(run *r, const fastnn_segment *segment) {
    const fastnn_phase *phases = r->program->phases;
    int64_t remaining = 0;
    for (int64_t i = segment->first; i < segment->last; i++) remaining += phase_cost(r, &phases[i]);
    for (int64_t i = segment->first; i < segment->last; i++) {
        const fastnn_phase *f = &phases[i];
        int64_t cost = phase_cost(r, f);
        if (f->kind == PHASE_CHAIN) run_chain(r, f, cost, remaining);
        else if (f->kind == PHASE_SHARED) run_shared(r, f->first, cost, threads_for(r, cost, remaining));
        else run_parts(r, f->first, f->last, 1, cost, threads_for(r, cost, remaining));
        remaining -= cost;
        int64_t failed = failed_step(r, f);
        if (failed >= 0) return (fastnn_result){failed, r->arena->errors[failed]};
    }
    return (fastnn_result){ALL_WELL, 0};
}

fastnn_result fastnn_run(fastnn_binding *b, fastnn_arena *arena, fastnn_region *region, int64_t prologue, int64_t segment) {
    run r = {b->program, arena, fastnn_current_table(), 1, fastnn_scratch(), 0, 0, 0, 1, 1, 1, NULL};
    if (!r.scratch) return (fastnn_result){NO_MEMORY, 0};
    fill_arguments(b, arena, region);
    memset(arena->errors, 0, 8 * (size_t)b->program->n_steps);
    uint64_t state = fastnn_float_state_enter();
    r.threads = fastnn_pool_acquire();
    fastnn_result result = {ALL_WELL, 0};
    if (prologue) result = run_segment(&r, &b->program->segments[0]);
    if (result.step == ALL_WELL && segment > 0) result = run_segment(&r, &b->program->segments[segment]);
    if (r.threads > 1) fastnn_pool_release();
    fastnn_float_state_leave(state);
    return result;
}

int64_t fastnn_run_kernel(kernel_fn kernel, const void *args, job j) {
    int64_t error = 0;
    j.scratch = fastnn_scratch();
    j.error = &error;
    if (!j.scratch) return -1;
    uint64_t state = fastnn_float_state_enter();
    kernel(args, &j);
    fastnn_float_state_leave(state);
    return error;
}
