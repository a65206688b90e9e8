/* main.c - the tfm program: tries the library from a shell, and is driven by scripts. Each command is one
 * file, cmd_*.c. Exit status: 0, 1 (an error, told on stderr), 2 (wrong usage), 128 + n (stopped by signal
 * n). */
#include "cli.h"

#include <string.h>

typedef struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} cli_command;

static const cli_command commands[] = {
    {"run", cmd_run, "continue a text"},
    {"top", cmd_top, "the table of the next token's probabilities"},
    {"tokens", cmd_tokens, "a text as tokens"},
    {"detokenize", cmd_detokenize, "tokens as a text"},
    {"train-tokenizer", cmd_train_tokenizer, "learn a tokenizer from text"},
    {"logits", cmd_logits, "write the logits of a row of tokens to a file"},
    {"hidden", cmd_hidden, "write the hidden states of a row of tokens to a file"},
    {"embed", cmd_embed, "texts as vectors"},
    {"translate", cmd_translate, "what an encoder-decoder writes to a text"},
    {"score", cmd_score, "how probable a phrase is after a text"},
    {"eval", cmd_eval, "the perplexity of a text"},
    {"train", cmd_train, "train a model further"},
    {"attention", cmd_attention, "where each token of a text looks"},
    {"neighbours", cmd_neighbours, "tokens whose vectors point the same way"},
    {"head", cmd_head, "one head of attention, step by step"},
    {"neurons", cmd_neurons, "which neurons answer most to each token"},
    {"compare", cmd_compare, "one word in two texts, layer by layer"},
    {"positions", cmd_positions, "how a model knows where a token stands"},
    {"lens", cmd_lens, "what each layer would say next"},
    {"quantize", cmd_quantize, "write a model with smaller weights"},
    {"plan", cmd_plan, "what a model of a shape takes, without its weights"},
    {"imatrix", cmd_imatrix, "measure which weights matter, for quantize"},
    {"info", cmd_info, "what is in a model's file"},
    {"perceptron", cmd_perceptron, "a neuron that decides, set and learned"},
    {"playground", cmd_playground, "small networks, live in the terminal or as a picture"},
    {"bench", cmd_bench, "measure the speed"},
};

static const cli_command *find(const char *name) {
    for (size_t i = 0; i < ARG_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static void overview(FILE *out) {
    fprintf(out, "tfm runs transformers from the files that people have.\n\n"
                 "  tfm run MODEL -p \"Once upon a time\"\n\nCommands:\n");
    for (size_t i = 0; i < ARG_COUNT(commands); i++)
        fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "  %-16s %s\n", "help", "the options of a command: tfm help run");
    fprintf(
        out,
        "\nMODEL is a GGUF file, a Hugging Face folder (config.json and safetensors) or a llama2.c file.\n");
}

static int unknown(const char *name) {
    fprintf(stderr, "tfm: no such command: %s\n", name);
    overview(stderr);
    return CLI_USAGE;
}

static int help(int argc, char **argv) {
    char ask[] = "--help";
    if (argc < 3) {
        overview(stdout);
        return CLI_OK;
    }
    const cli_command *command = find(argv[2]);
    if (!command) return unknown(argv[2]);
    char *words[] = {argv[2], ask, NULL};
    return command->run(2, words);
}

int main(int argc, char **argv) {
    int status;
    if (argc < 2) {
        overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("tfm %s\n", tfm_version());
        status = CLI_OK;
    } else if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        status = help(argc, argv);
    } else {
        const cli_command *command = find(argv[1]);
        if (!command) return unknown(argv[1]);
        status = command->run(argc - 1, argv + 1);
    }
    int written = cli_finish_output(argv[1]);
    return status ? status : written;
}
