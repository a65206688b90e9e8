// test_cpp.cc - tfm.hpp on a small model: every class, moved objects, errors, and, where they are switched
// on, exceptions. Built twice, with and without exceptions: test_cpp MODEL CTRANSLATE2_FOLDER
#include <tfm.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

static int failures = 0;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                              \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static const char prompt[] = "床前明月光";

static void test_errors() {
    auto model = tfm::model::load("/nowhere/at/all.gguf");
    CHECK(!model);
    CHECK(model.error().code() == TFM_E_NOT_FOUND);
    CHECK(std::strcmp(model.error().name(), "TFM_E_NOT_FOUND") == 0);
    CHECK(std::strstr(model.error().message(), "all.gguf") != nullptr);
    auto tokenizer = tfm::tokenizer::load("hello", 5);
    CHECK(!tokenizer);
    auto sampler = tfm::sampler::create();
    CHECK(bool(sampler));
    CHECK(sampler.error().code() == TFM_OK);
    CHECK(!sampler->top_p(2));
    CHECK(sampler->top_p(0.5) && sampler->get_f64(TFM_SAMPLER_TOP_P).value() == 0.5);
    CHECK(sampler->seed(1ull << 63) && sampler->get_u64(TFM_SAMPLER_SEED).value() == 1ull << 63);
#if TFM_HPP_EXCEPTIONS
    bool thrown = false;
    try {
        (void)model.value();
    } catch (const tfm::exception &exception) {
        thrown = exception.code() == TFM_E_NOT_FOUND && std::strstr(exception.what(), "all.gguf");
    }
    CHECK(thrown);
    thrown = false;
    try {
        sampler->min_p(-1).value();
    } catch (const std::exception &) { thrown = true; }
    CHECK(thrown);
#endif
}

static void test_tokenizer(const char *path, const tfm::model &model) {
    auto tokenizer = tfm::tokenizer::load(path).value();
    tfm::tokenizer moved = std::move(tokenizer);
    tokenizer = std::move(moved);
    auto ids = tokenizer.encode(prompt).value();
    CHECK(!ids.empty());
    CHECK(ids == model.tokenizer().encode(prompt).value());
    CHECK(tokenizer.decode(ids).value() == prompt);
    CHECK(tokenizer.info()->vocab_size == model.info()->vocab_size);
    CHECK(!tokenizer.decode({-5}));
    CHECK(tokenizer.encode("")); // count first, with nothing to count perhaps

    auto decoder = tfm::decoder::create(tokenizer).value();
    std::string text;
    for (tfm::token id : ids) text += *decoder.push(id);
    text += *decoder.finish();
    CHECK(text == prompt);
    std::string_view bytes = *tokenizer.bytes(ids.back());
    CHECK(!bytes.empty() && tokenizer.find(bytes) >= 0 && tokenizer.kind(ids.back()) != 0);
}

static void test_batch(const tfm::model &model) {
    const tfm::tokenizer_ref tokenizer = model.tokenizer();
    const std::string wide =
        std::string("x\0y", 3) + std::string(200, '*'); // more tokens than the first guess
    tfm::batch_options options;
    options.want = TFM_WANT_OFFSETS | TFM_WANT_MASKS;
    options.pad = TFM_YES;
    auto encoding = tokenizer.encode_batch({prompt, "", wide, std::string_view("ab")}, options).value();
    auto moved = std::move(encoding);
    CHECK(moved.rows() == 4);
    auto ids = tokenizer.encode(wide).value();
    CHECK(moved[2].size == ids.size() && moved[0].size == ids.size()); // padded
    CHECK(std::memcmp(moved[2].data, ids.data(), ids.size() * sizeof ids[0]) == 0);
    CHECK(tokenizer.count(wide).value() == ids.size());
    tfm::encoding_view view = moved.view();
    CHECK(view.count == 4 * ids.size() && view.ids == moved[0].data && view.types == nullptr);
    CHECK(view.attention[moved.starts()[1] - 1] == 0 && view.byte_ends[moved.starts()[3] - 1] == wide.size());
    auto pair = tokenizer.encode_batch({tfm::text_input("a", "b")}).value();
    CHECK(pair.rows() == 1 && pair[0].size >= 2);
    options.truncate = 9;
    CHECK(!tokenizer.encode_batch({"a"}, options));

    auto encoder = tfm::encoder::create(tokenizer).value();
    std::vector<tfm::token> parts, whole = tokenizer.encode(prompt).value();
    for (const char &c : std::string_view(prompt)) {
        auto more = encoder.push(std::string_view(&c, 1)).value();
        parts.insert(parts.end(), more.begin(), more.end());
    }
    auto rest = encoder.finish().value();
    parts.insert(parts.end(), rest.begin(), rest.end());
    CHECK(parts == whole);
}

static void test_training() {
    tfm::train_options options;
    options.vocab_size = 260;
    const std::vector<std::string_view> texts = {"the cat sat on the mat", "", "that hat"};
    auto tokenizer = tfm::tokenizer::train(texts, options).value();
    CHECK(tokenizer.info()->vocab_size == 260);
    CHECK(tokenizer.encode("that mat")->size() < 8);
    const char *const path = TFM_HPP_EXCEPTIONS ? "test_cpp_thrown.json" : "test_cpp_plain.json";
    CHECK(tokenizer.save(path, TFM_SAVE_TOKENIZER_JSON));
    auto again = tfm::tokenizer::load(path).value();
    CHECK(again.encode("that mat").value() == tokenizer.encode("that mat").value());
    auto from_file = tfm::tokenizer::train(std::vector<const char *>{path}, options);
    CHECK(from_file && from_file->info()->vocab_size == 260);
    std::remove(path);
    CHECK(!tfm::tokenizer::train(std::vector<const char *>{"/nowhere/at/all"}, options));
    CHECK(!tokenizer.save(path, 99));
}

static void test_session(const tfm::model &model) {
    auto session = tfm::session::create(model).value();
    auto ids = model.tokenizer().encode(prompt).value();
    CHECK(!session.logits());
    tfm::forward_options all;
    all.logits = TFM_LOGITS_ALL;
    CHECK(session.forward(ids, all));
    CHECK(session.logits_count() == ids.size() && session.position() == ids.size());
    CHECK(session.tokens().size == ids.size() && session.tokens()[0] == ids[0]);

    auto table = session.top(5).value();
    CHECK(table.size() == 5 && table[0].probability >= table[1].probability);
    CHECK(session.sample().value() == table[0].token);
    CHECK(std::fabs(session.probability(table[0].token).value() - table[0].probability) < 1e-12);
    auto logits = session.logits(ids.size() - 1).value();
    float largest = logits[0];
    for (float logit : logits) largest = logit > largest ? logit : largest;
    CHECK(logits[static_cast<std::size_t>(table[0].token)] == largest);

    // A fork and a rewound session give the same bits as the way there.
    auto fork = session.fork().value();
    std::vector<float> kept(logits.begin(), logits.end());
    CHECK(session.rewind(ids.size() - 1));
    CHECK(session.forward(&ids.back(), 1));
    auto again = session.logits().value();
    CHECK(again.size == kept.size() &&
          std::memcmp(again.data, kept.data(), kept.size() * sizeof(float)) == 0);
    CHECK(fork.position() == ids.size());
    CHECK(!session.rewind(ids.size() + 1));
}

static void test_generate(const tfm::model &model) {
    auto session = tfm::session::create(model).value();
    auto sampler = tfm::sampler::create().value();
    tfm::generate_options options;
    options.max_tokens = 6;

    auto text = session.generate(&sampler, prompt, options).value();
    CHECK(!text.empty());

    // Pulled, with the same seed: the same text.
    CHECK(session.rewind(0) && sampler.seed(0));
    auto generation = session.begin(&sampler, prompt, options).value();
    std::string pulled;
    for (;;) {
        auto event = generation.next().value();
        pulled.append(event.bytes, event.length);
        if (event.stop) break;
    }
    auto summary = generation.end();
    CHECK(pulled == text);
    CHECK(summary.stop == TFM_STOP_LIMIT || summary.stop == TFM_STOP_END);

    // The callback stops; the session goes on.
    CHECK(session.rewind(0));
    int calls = 0;
    auto stopped = session.generate(nullptr, prompt, options, [&calls](const tfm::token_event &event) {
        if (!event.stop) calls++;
        return calls < 2;
    });
    CHECK(stopped && stopped->stop == TFM_STOP_CALLBACK && calls == 2);
    CHECK(session.generate(nullptr, prompt, options));

    auto cancel = tfm::cancel::create().value();
    cancel.set();
    options.cancel = cancel.get();
    auto cancelled = session.generate(nullptr, prompt, options, [](const tfm::token_event &) {});
    CHECK(cancelled ? cancelled->stop == TFM_STOP_CANCELLED : cancelled.error().code() == TFM_E_CANCELLED);
    cancel.reset();
#if TFM_HPP_EXCEPTIONS
    std::string caught;
    try {
        (void)session.generate(nullptr, prompt, options,
                               [](const tfm::token_event &) { throw std::string("mine"); });
    } catch (const std::string &mine) { caught = mine; }
    CHECK(caught == "mine");
    CHECK(session.generate(nullptr, prompt, options));
#endif
}

// The model is a decoder: its last hidden states.
static void test_encode(const tfm::model &model) {
    const tfm::token ids[] = {1, 2, 3};
    const tfm_encode_row rows[] = {{ids, 3, nullptr}, {ids + 1, 1, nullptr}};
    CHECK(model.encode(rows, 2).error().code() == TFM_E_ARGUMENT);
    tfm::encode_options options;
    options.decoder = options.keep_layers = 1;
    auto encoded = model.encode(rows, 2, options);
    CHECK(encoded && encoded->rows() == 2 && encoded->row_tokens(1) == 1 && encoded->view().tokens == 4);
    CHECK(*encoded->layer(encoded->view().layers - 1).value() == encoded->row(0)[0]);
    CHECK(encoded->layer(1000).error().code() == TFM_E_ARGUMENT);
    CHECK(encoded->logits(0, 1).error().code() == TFM_E_STATE);

    tfm::embed_options pooling;
    pooling.pooling = TFM_POOL_MEAN;
    auto vectors = model.embed({"床前明月光", std::string("疑是地上霜")}, pooling);
    CHECK(vectors && vectors->size() == 2 * encoded->view().width);
    CHECK(model.classify({"床前明月光"}).error().code() == TFM_E_STATE);
}

// Two vocabularies in one folder: what the encoder reads is cut by its own.
static void test_source_tokenizer(const tfm::model &one, const char *folder) {
    CHECK(one.source_tokenizer().get() == one.tokenizer().get());
    auto two = tfm::model::load(folder);
    CHECK(bool(two));
    if (!two) return;
    CHECK(two->source_tokenizer().get() != two->tokenizer().get());
    CHECK(two->source_tokenizer().find("trois") == 5 && two->tokenizer().find("trois") < 0);
    CHECK(two->tokenizer().find("three") == 5 && two->source_tokenizer().find("three") < 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    test_errors();
    test_training();
    auto pool = tfm::pool::create();
    CHECK(pool && pool->threads() >= 1);
    tfm::model_options options;
    options.pool = pool->get();
    auto loaded = tfm::model::load(argv[1], options);
    if (!loaded) return std::printf("%s\n", loaded.error().message()), 1;
    {
        tfm::model copy = *loaded; // one more reference
        tfm::model model = std::move(*loaded);
        copy = model;
        CHECK(copy.get() == model.get());
        CHECK(model.info()->layers > 0 && model.tensor_count() > 0 && model.tensor(0)->name &&
              model.bytes() > 0);
        test_tokenizer(argv[1], model);
        test_batch(model);
        test_session(model);
        test_generate(copy);
        test_encode(model);
        test_source_tokenizer(model, argv[2]);
    }
    std::printf("tfm %s, exceptions %s: %d failures\n", tfm::version(), TFM_HPP_EXCEPTIONS ? "on" : "off",
                failures);
    return failures != 0;
}
