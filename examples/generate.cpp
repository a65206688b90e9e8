// generate.cpp - the same as generate.c in C++17, with the header tfm.hpp. Exceptions are not needed.
//
//     c++ -std=c++17 generate.cpp -o generate $(pkg-config --cflags --libs tfm)
//     ./generate model.gguf "Once upon a time"
#include <tfm.hpp>

#include <cstdio>

static int fail(const tfm::error &error) {
    std::fprintf(stderr, "generate: %s\n", error.message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: generate MODEL PROMPT\n");
        return 2;
    }
    auto pool = tfm::pool::create(); // one thread per processor
    if (!pool) return fail(pool.error());

    tfm::model_options options;
    options.pool = pool->get();
    auto model = tfm::model::load(argv[1], options);
    if (!model) return fail(model.error());

    auto session = tfm::session::create(*model);
    if (!session) return fail(session.error());

    auto sampler = tfm::sampler::create();
    if (!sampler) return fail(sampler.error());

    // The callback may return nothing, or false to stop.
    auto summary = session->generate(&*sampler, argv[2], {}, [](const tfm::token_event &event) {
        std::fwrite(event.bytes, 1, event.length, stdout);
        std::fflush(stdout);
    });
    if (!summary) return fail(summary.error());
    std::putchar('\n');
}
