/* gpt3_plan.c - GPT-3 on paper: every matrix of its 175 billion parameters, what they take, and what a token
 * costs. No weights.
 *
 *     cc gpt3_plan.c -o gpt3_plan $(pkg-config --cflags --libs tfm)
 *     ./gpt3_plan [NAME]
 *
 * The sizes are those of Brown et al. 2020, table 2.1: 96 layers, 12,288 wide, 96 heads of 128, 49,152 in the
 * feed-forward. NAME is another model of the library's table that has GPT-2's form ("gpt2", "gpt-3-13b",
 * ...). `tfm plan` does this for any model. */
#include <tfm/tfm.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t matrix(const char *name, uint64_t rows, uint64_t columns, uint64_t bias) {
    uint64_t numbers = rows * columns + bias;
    printf("  %-34s %6" PRIu64 " x %-6" PRIu64 " %s %16" PRIu64 "\n", name, rows, columns,
           bias ? "+ bias" : "      ", numbers);
    return numbers;
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_shape s = TFM_SHAPE_INIT;
    tfm_plan_options how = TFM_PLAN_OPTIONS_INIT;
    tfm_plan_result plan = TFM_PLAN_RESULT_INIT;
    uint64_t half = 0, byte = 0;
    how.tokens = 300e9; /* that GPT-3 was trained on */
    if (argc > 2) {
        fprintf(stderr, "usage: gpt3_plan [NAME]\n");
        return 2;
    }
    if (tfm_shape_named(argc > 1 ? argv[1] : "gpt-3", &s, &error) || tfm_plan(&s, &how, &plan, &error) ||
        tfm_shape_bytes(&s, "F16", &half, &error) || tfm_shape_bytes(&s, "Q4_K", &byte, &error)) {
        fprintf(stderr, "gpt3_plan: %s\n", error.message);
        return 1;
    }
    if (strcmp(s.family, "gpt2") != 0) {
        fprintf(stderr, "gpt3_plan: %s has another form: see tfm plan %s\n", s.name, s.name);
        return 1;
    }
    uint64_t d = s.width, f = s.feed_forward;
    printf("%s: %u layers of %u heads, each head %u wide\n\none layer\n", s.name, s.layers, s.heads,
           s.head_dim);
    uint64_t layer = matrix("queries, keys, values", 3 * d, d, 3 * d);
    layer += matrix("the heads' results together", d, d, d);
    layer += matrix("feed-forward: wider", f, d, f);
    layer += matrix("feed-forward: back", d, f, d);
    layer += matrix("two norms", 2, 2 * d, 0);
    printf("\nthe whole\n");
    uint64_t all = s.layers * layer;
    printf("  %-34s %6u x %-13" PRIu64 "  %16" PRIu64 "\n", "layers", s.layers, layer, all);
    all += matrix("a vector for each token", s.vocab, d, 0);
    all += matrix("a vector for each position", s.context, d, 0);
    all += matrix("the last norm", 2, d, 0);
    printf("  %-59s %16" PRIu64 "\n", "parameters", all);
    printf("  %-59s %16" PRIu64 "%s\n", "the library counts", s.parameters,
           all == s.parameters ? "" : "  (NOT THE SAME)");

    printf("\nmemory\n");
    printf("  weights in 16 bits                 %8.1f GB\n", (double)half / 1e9);
    printf("  weights in Q4_K (4.5 bits)         %8.1f GB\n", (double)byte / 1e9);
    printf("  keys and values of one token       %8.2f MB\n", (double)plan.kv_bytes_per_token / 1e6);
    printf("  keys and values of %5u tokens    %8.2f GB\n", s.context, (double)plan.kv_bytes / 1e9);

    printf("\narithmetic (a multiplication and an addition for each number of a matrix)\n");
    printf("  one token                          %8.1f GFLOP\n", plan.forward_flops / 1e9);
    printf("  its attention at full context      %8.1f GFLOP\n", plan.attention_flops / 1e9);
    printf("  training on 300 billion tokens     %8.2e FLOP (published: 3.14e+23)\n", plan.total_train_flops);
    printf("  one accelerator of 312 TFLOP/s, 40 %% used, needs %.0f years for that\n",
           plan.train_seconds / (365.25 * 86400));
    return all != s.parameters;
}
