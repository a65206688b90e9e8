// tfm.hpp - tfm for C++17: the objects of the C library as C++ objects that free themselves. One header, no
// logic of its own; the meaning, ranges and lifetimes of everything are told in tfm/*.h.
//
//     #include <tfm.hpp>
//     #include <cstdio>
//
//     int main(int argc, char **argv) {
//         if (argc != 2) return 2;
//         auto model = tfm::model::load(argv[1]);
//         if (!model) return std::fprintf(stderr, "%s\n", model.error().message()), 1;
//         auto session = tfm::session::create(*model);
//         if (!session) return std::fprintf(stderr, "%s\n", session.error().message()), 1;
//         auto text = session->generate(nullptr, "Once upon a time"); // nullptr: greedy
//         if (!text) return std::fprintf(stderr, "%s\n", text.error().message()), 1;
//         std::printf("%s\n", text->c_str());
//     }
//
// Every call that can fail gives a tfm::result<T>: `if (r)`, `*r`, `r->`, `r.error()`. With exceptions
// switched on, r.value() throws tfm::exception instead of being looked at, so `auto model =
// tfm::model::load(path).value();` is enough; with exceptions switched off (-fno-exceptions) value() of a
// failed result ends the program, and everything else is the same. Objects move and do not copy, tfm::model
// excepted: a copy is one more reference.
#ifndef TFM_HPP
#define TFM_HPP

#include <tfm/tfm.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define TFM_HPP_EXCEPTIONS 1
#define TFM_HPP_NAMESPACE with_exceptions
#else
#define TFM_HPP_EXCEPTIONS 0
#define TFM_HPP_NAMESPACE without_exceptions
#endif

namespace tfm {
// Files compiled with and without exceptions may be linked into one program: their functions have different
// names.
inline namespace TFM_HPP_NAMESPACE {

// ---- Errors and results
// ---------------------------------------------------------------------------------------------

// What went wrong: a tfm_error.
class error {
  public:
    error() noexcept : raw_(tfm_error TFM_ERROR_INIT) {}
    explicit error(const tfm_error &raw) noexcept : raw_(raw) {}

    std::int32_t code() const noexcept { return raw_.code; } // TFM_E_*
    const char *name() const noexcept { return tfm_status_name(raw_.code); }
    const char *message() const noexcept {
        return raw_.message[0] ? raw_.message : tfm_status_text(raw_.code);
    }
    const char *file() const noexcept { return raw_.file; }
    const char *tensor() const noexcept { return raw_.tensor; }
    std::uint64_t offset() const noexcept { return raw_.offset; }
    tfm_error *raw() noexcept { return &raw_; }

  private:
    tfm_error raw_;
};

// Thrown by result::value().
class exception : public std::exception {
  public:
    explicit exception(const class error &error) noexcept : error_(error) {}
    const char *what() const noexcept override { return error_.message(); }
    const class error &error() const noexcept { return error_; }
    std::int32_t code() const noexcept { return error_.code(); }

  private:
    class error error_;
};

namespace detail {
[[noreturn]] inline void fail(const error &error) {
#if TFM_HPP_EXCEPTIONS
    throw exception(error);
#else
    (void)error;
    std::abort();
#endif
}
} // namespace detail

// A value, or the error that there is instead. Looking at the value of a failed result with * or -> is
// undefined.
template <class T> class [[nodiscard]] result {
  public:
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(const class error &error) : state_(std::in_place_index<1>, error) {}

    explicit operator bool() const noexcept { return state_.index() == 0; }
    T &operator*() &noexcept { return *std::get_if<0>(&state_); }
    const T &operator*() const &noexcept { return *std::get_if<0>(&state_); }
    T &&operator*() &&noexcept { return std::move(*std::get_if<0>(&state_)); }
    T *operator->() noexcept { return std::get_if<0>(&state_); }
    const T *operator->() const noexcept { return std::get_if<0>(&state_); }

    T &value() & { return check(), **this; }
    const T &value() const & { return check(), **this; }
    T value() && { return check(), std::move(**this); }

    // Of a successful result: an error with code TFM_OK.
    class error error() const noexcept {
        const class error *found = std::get_if<1>(&state_);
        return found ? *found : tfm::error();
    }

  private:
    void check() const {
        if (const class error *found = std::get_if<1>(&state_)) detail::fail(*found);
    }
    std::variant<T, class error> state_;
};

// Done, or the error.
template <> class [[nodiscard]] result<void> {
  public:
    result() noexcept = default;
    result(const class error &error) : error_(error) {}
    explicit operator bool() const noexcept { return !error_; }
    void value() const {
        if (error_) detail::fail(*error_);
    }
    class error error() const noexcept {
        return error_ ? *error_ : tfm::error();
    }

  private:
    std::optional<class error> error_;
};

namespace detail {

inline result<void> done(std::int32_t status, const error &error) {
    if (status) return error;
    return {};
}

// Owns one C object.
template <class T, void (*Free)(T *)> class handle {
  public:
    handle() noexcept = default;
    explicit handle(T *pointer) noexcept : pointer_(pointer) {}
    handle(handle &&other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        if (this != &other) Free(std::exchange(pointer_, std::exchange(other.pointer_, nullptr)));
        return *this;
    }
    ~handle() { Free(pointer_); }

    T *get() const noexcept { return pointer_; }                       // still owned here
    T *release() noexcept { return std::exchange(pointer_, nullptr); } // now the caller's

  private:
    T *pointer_ = nullptr;
};

} // namespace detail

// ---- Plain data: the C structs, ready to use
// ------------------------------------------------------------------------

using token = tfm_token;
using candidate = tfm_candidate;
using token_event = tfm_token_event;
using model_info = tfm_model_info;
using tokenizer_info = tfm_tokenizer_info;
using special_token = tfm_special_token;
using special_choice = tfm_special_choice;
using encoding_view = tfm_encoding_view;
using generation_summary = tfm_generation_summary;

struct pool_options : tfm_pool_options {
    pool_options() noexcept : tfm_pool_options(tfm_pool_options TFM_POOL_OPTIONS_INIT) {}
};
struct model_options : tfm_model_options {
    model_options() noexcept : tfm_model_options(tfm_model_options TFM_MODEL_OPTIONS_INIT) {}
};
struct tokenizer_options : tfm_tokenizer_options {
    tokenizer_options() noexcept : tfm_tokenizer_options(tfm_tokenizer_options TFM_TOKENIZER_OPTIONS_INIT) {}
};
struct tokenize_options : tfm_tokenize_options {
    tokenize_options() noexcept : tfm_tokenize_options(tfm_tokenize_options TFM_TOKENIZE_OPTIONS_INIT) {}
};
struct detokenize_options : tfm_detokenize_options {
    detokenize_options() noexcept
        : tfm_detokenize_options(tfm_detokenize_options TFM_DETOKENIZE_OPTIONS_INIT) {}
};
struct train_options : tfm_tokenizer_train_options {
    train_options() noexcept
        : tfm_tokenizer_train_options(tfm_tokenizer_train_options TFM_TOKENIZER_TRAIN_OPTIONS_INIT) {}
};
struct batch_options : tfm_batch_options {
    batch_options() noexcept : tfm_batch_options(tfm_batch_options TFM_BATCH_OPTIONS_INIT) {}
};
struct session_options : tfm_session_options {
    session_options() noexcept : tfm_session_options(tfm_session_options TFM_SESSION_OPTIONS_INIT) {}
};
struct forward_options : tfm_forward_options {
    forward_options() noexcept : tfm_forward_options(tfm_forward_options TFM_FORWARD_OPTIONS_INIT) {}
};
struct sampler_options : tfm_sampler_options {
    sampler_options() noexcept : tfm_sampler_options(tfm_sampler_options TFM_SAMPLER_OPTIONS_INIT) {}
};
struct encode_options : tfm_encode_options {
    encode_options() noexcept : tfm_encode_options(tfm_encode_options TFM_ENCODE_OPTIONS_INIT) {}
};
struct embed_options : tfm_embed_options {
    embed_options() noexcept : tfm_embed_options(tfm_embed_options TFM_EMBED_OPTIONS_INIT) {}
};
struct generate_options : tfm_generate_options {
    generate_options() noexcept : tfm_generate_options(tfm_generate_options TFM_GENERATE_OPTIONS_INIT) {}
};

// One row of logits, [size] floats inside the session.
struct logits_view {
    const float *data;
    std::size_t size;
    float operator[](std::size_t i) const noexcept { return data[i]; }
    const float *begin() const noexcept { return data; }
    const float *end() const noexcept { return data + size; }
};

// One text of a batch, or a pair of texts. The characters are the caller's.
struct text_input : tfm_text_input {
    text_input(std::string_view one) noexcept : tfm_text_input{one.data(), one.size(), nullptr, 0} {}
    text_input(const char *one) noexcept : text_input(std::string_view(one)) {}
    text_input(const std::string &one) noexcept : text_input(std::string_view(one)) {}
    text_input(std::string_view one, std::string_view two) noexcept
        : tfm_text_input{one.data(), one.size(), two.data() ? two.data() : "", two.size()} {}
};

// Tokens inside a session or an encoding.
struct tokens_view {
    const token *data;
    std::size_t size;
    token operator[](std::size_t i) const noexcept { return data[i]; }
    const token *begin() const noexcept { return data; }
    const token *end() const noexcept { return data + size; }
};

inline const char *version() noexcept { return tfm_version(); }
inline bool capability(const char *name) noexcept { return tfm_capability(name) != 0; }

// ---- Pool and cancel flag
// -------------------------------------------------------------------------------------------

class pool {
  public:
    static result<pool> create(const pool_options &options = {}) {
        error error;
        tfm_pool *out = nullptr;
        if (tfm_pool_create(&options, &out, error.raw())) return error;
        return pool(out);
    }
    unsigned threads() const noexcept { return tfm_pool_threads(get()); }
    tfm_pool *get() const noexcept { return handle_.get(); }

  private:
    explicit pool(tfm_pool *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_pool, tfm_pool_destroy> handle_;
};

class cancel {
  public:
    static result<cancel> create(const tfm_allocator *allocator = nullptr) {
        error error;
        tfm_cancel *out = nullptr;
        if (tfm_cancel_create(allocator, &out, error.raw())) return error;
        return cancel(out);
    }
    void set() noexcept { tfm_cancel_set(get()); }
    void reset() noexcept { tfm_cancel_reset(get()); }
    bool is_set() const noexcept { return tfm_cancel_is_set(get()) != 0; }
    tfm_cancel *get() const noexcept { return handle_.get(); }

  private:
    explicit cancel(tfm_cancel *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_cancel, tfm_cancel_destroy> handle_;
};

// ---- Tokenizer
// ------------------------------------------------------------------------------------------------------

// The rows of ids that a batch became, and what is known of each token. Views live as long as the encoding,
// and the tokenizer must outlive it.
class encoding {
  public:
    std::size_t rows() const noexcept { return rows_; }
    tokens_view operator[](std::size_t row) const noexcept {
        return {ids_ + starts_[row], starts_[row + 1] - starts_[row]};
    }
    const std::size_t *starts() const noexcept { return starts_; } // [rows + 1] in the arrays of view()
    encoding_view view() const noexcept {
        encoding_view view = TFM_ENCODING_VIEW_INIT;
        tfm_encoding_get(get(), &view, nullptr);
        return view;
    }
    tfm_encoding *get() const noexcept { return handle_.get(); }

  private:
    friend class tokenizer_ref;
    explicit encoding(tfm_encoding *pointer) noexcept : handle_(pointer) {
        tfm_encoding_ids(pointer, &ids_, &starts_, &rows_, nullptr);
    }
    detail::handle<tfm_encoding, tfm_encoding_destroy> handle_;
    const token *ids_ = nullptr;
    const std::size_t *starts_ = nullptr;
    std::size_t rows_ = 0;
};

// A tokenizer that something else owns: a model, or a tfm::tokenizer.
class tokenizer_ref {
  public:
    explicit tokenizer_ref(const tfm_tokenizer *pointer) noexcept : pointer_(pointer) {}
    explicit operator bool() const noexcept { return pointer_ != nullptr; } // false: the model has none
    const tfm_tokenizer *get() const noexcept { return pointer_; }

    result<std::vector<token>> encode(std::string_view text, const tokenize_options &options = {}) const {
        error error;
        std::vector<token> ids(text.size() / 2 +
                               16); // mostly enough; otherwise count tells how many there are
        std::size_t count = 0;
        std::int32_t status = tfm_tokenize(pointer_, text.data(), text.size(), &options, ids.data(),
                                           ids.size(), &count, error.raw());
        if (status == TFM_E_BUFFER) {
            ids.resize(count);
            status = tfm_tokenize(pointer_, text.data(), text.size(), &options, ids.data(), ids.size(),
                                  &count, error.raw());
        }
        if (status) return error;
        ids.resize(count);
        return ids;
    }

    result<std::size_t> count(std::string_view text, const tokenize_options &options = {}) const {
        error error;
        std::size_t count = 0;
        if (tfm_count_tokens(pointer_, text.data(), text.size(), &options, &count, error.raw())) return error;
        return count;
    }

    result<encoding> encode_batch(const std::vector<text_input> &inputs,
                                  const batch_options &options = {}) const {
        error error;
        tfm_encoding *out = nullptr;
        static_assert(sizeof(text_input) == sizeof(tfm_text_input),
                      "an array of the one is one of the other");
        if (tfm_tokenize_batch(pointer_, inputs.data(), inputs.size(), &options, &out, error.raw()))
            return error;
        return encoding(out);
    }

    result<std::string> decode(const token *ids, std::size_t count,
                               const detokenize_options &options = {}) const {
        error error;
        std::size_t length = 0;
        if (tfm_detokenize(pointer_, ids, count, &options, nullptr, 0, &length, error.raw())) return error;
        std::string text(length, '\0');
        if (tfm_detokenize(pointer_, ids, count, &options, text.data(), length, &length, error.raw()))
            return error;
        return text;
    }
    result<std::string> decode(const std::vector<token> &ids, const detokenize_options &options = {}) const {
        return decode(ids.data(), ids.size(), options);
    }

    // Lives as long as the tokenizer.
    result<std::string_view> bytes(token id) const {
        error error;
        const char *bytes = nullptr;
        std::size_t length = 0;
        if (tfm_token_bytes(pointer_, id, &bytes, &length, error.raw())) return error;
        return std::string_view(bytes, length);
    }

    token find(std::string_view bytes) const noexcept {
        return tfm_token_find(pointer_, bytes.data(), bytes.size());
    }
    std::int32_t kind(token id) const noexcept { return tfm_token_kind(pointer_, id); }

    // format: TFM_SAVE_*.
    result<void> save(const char *path, std::int32_t format) const {
        error error;
        std::int32_t status = tfm_tokenizer_save(pointer_, path, format, error.raw());
        return detail::done(status, error);
    }

    result<tokenizer_info> info() const {
        error error;
        tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        if (tfm_tokenizer_get_info(pointer_, &info, error.raw())) return error;
        return info;
    }

  protected:
    const tfm_tokenizer *pointer_;
};

// A tokenizer loaded on its own.
class tokenizer : public tokenizer_ref {
  public:
    static result<tokenizer> load(const char *path, const tokenizer_options &options = {}) {
        error error;
        tfm_tokenizer *out = nullptr;
        if (tfm_tokenizer_load(path, &options, &out, error.raw())) return error;
        return tokenizer(out);
    }
    static result<tokenizer> load(const void *data, std::size_t size, const tokenizer_options &options = {}) {
        error error;
        tfm_tokenizer *out = nullptr;
        if (tfm_tokenizer_load_memory(data, size, &options, &out, error.raw())) return error;
        return tokenizer(out);
    }
    // Learns one from files, or from texts in memory.
    static result<tokenizer> train(const std::vector<const char *> &files,
                                   const train_options &options = {}) {
        error error;
        tfm_tokenizer *out = nullptr;
        if (tfm_tokenizer_train(files.data(), files.size(), &options, &out, error.raw())) return error;
        return tokenizer(out);
    }
    static result<tokenizer> train(const std::vector<std::string_view> &texts,
                                   const train_options &options = {}) {
        error error;
        tfm_tokenizer *out = nullptr;
        text_queue queue = {texts.data(), texts.data() + texts.size()};
        if (tfm_tokenizer_train_text(text_queue::next, &queue, &options, &out, error.raw())) return error;
        return tokenizer(out);
    }
    tokenizer(tokenizer &&other) noexcept : tokenizer_ref(other), handle_(std::move(other.handle_)) {
        other.pointer_ = nullptr;
    }
    tokenizer &operator=(tokenizer &&other) noexcept {
        if (this != &other) {
            handle_ = std::move(other.handle_);
            pointer_ = std::exchange(other.pointer_, nullptr);
        }
        return *this;
    }

  private:
    struct text_queue {
        const std::string_view *at, *end;
        static std::int32_t next(void *user, const char **text, std::size_t *length) noexcept {
            text_queue &queue = *static_cast<text_queue *>(user);
            bool more = queue.at != queue.end;
            *text = !more ? nullptr : queue.at->data() ? queue.at->data() : "";
            *length = more ? queue.at++->size() : 0;
            return 0;
        }
    };
    explicit tokenizer(tfm_tokenizer *pointer) noexcept : tokenizer_ref(pointer), handle_(pointer) {}
    detail::handle<tfm_tokenizer, tfm_tokenizer_release> handle_;
};

// Tokens from a text that comes in parts, cut anywhere. The tokenizer must outlive it.
class encoder {
  public:
    static result<encoder> create(tokenizer_ref tokenizer, const tokenize_options &options = {}) {
        error error;
        tfm_encoder *out = nullptr;
        if (tfm_encoder_create(tokenizer.get(), &options, &out, error.raw())) return error;
        return encoder(out);
    }
    // The tokens that are certain now; valid until the encoder's next call.
    result<tokens_view> push(std::string_view text) {
        error error;
        tokens_view ids = {nullptr, 0};
        if (tfm_encoder_push(get(), text.data(), text.size(), &ids.data, &ids.size, error.raw()))
            return error;
        return ids;
    }
    result<tokens_view> finish() {
        error error;
        tokens_view ids = {nullptr, 0};
        if (tfm_encoder_finish(get(), &ids.data, &ids.size, error.raw())) return error;
        return ids;
    }
    tfm_encoder *get() const noexcept { return handle_.get(); }

  private:
    explicit encoder(tfm_encoder *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_encoder, tfm_encoder_destroy> handle_;
};

// Text from tokens that come one at a time. The tokenizer must outlive it.
class decoder {
  public:
    static result<decoder> create(tokenizer_ref tokenizer, const detokenize_options &options = {}) {
        error error;
        tfm_decoder *out = nullptr;
        if (tfm_decoder_create(tokenizer.get(), &options, &out, error.raw())) return error;
        return decoder(out);
    }
    // Valid until the decoder's next call.
    result<std::string_view> push(token id) {
        error error;
        const char *text = nullptr;
        std::size_t length = 0;
        if (tfm_decoder_push(get(), id, &text, &length, error.raw())) return error;
        return std::string_view(text, length);
    }
    result<std::string_view> finish() {
        error error;
        const char *text = nullptr;
        std::size_t length = 0;
        if (tfm_decoder_finish(get(), &text, &length, error.raw())) return error;
        return std::string_view(text, length);
    }
    tfm_decoder *get() const noexcept { return handle_.get(); }

  private:
    explicit decoder(tfm_decoder *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_decoder, tfm_decoder_destroy> handle_;
};

// ---- Encoded rows
// ---------------------------------------------------------------------------------------------------

// What an encoder made of rows of tokens (tfm/encode.h). Views live as long as it.
class encoded {
  public:
    std::size_t rows() const noexcept { return view_.rows; }
    const tfm_encoded_view &view() const noexcept { return view_; }
    // The states of one row, [tokens, width].
    const float *row(std::size_t index) const noexcept {
        return view_.hidden + view_.starts[index] * view_.width;
    }
    std::size_t row_tokens(std::size_t index) const noexcept {
        return view_.starts[index + 1] - view_.starts[index];
    }
    result<const float *> layer(std::size_t index) const {
        error error;
        const float *states = nullptr;
        if (tfm_encoded_layer(get(), index, &states, error.raw())) return error;
        return states;
    }
    // Of the head, [count, view().outputs].
    result<std::vector<float>> logits(std::size_t first, std::size_t count) const {
        error error;
        std::vector<float> out(count * view_.outputs);
        if (tfm_encoded_logits(get(), first, count, out.data(), out.size(), error.raw())) return error;
        return out;
    }
    tfm_encoded *get() const noexcept { return handle_.get(); }

  private:
    friend class model;
    explicit encoded(tfm_encoded *pointer) noexcept : handle_(pointer) {
        tfm_encoded_get(pointer, &view_, nullptr);
    }
    detail::handle<tfm_encoded, tfm_encoded_release> handle_;
    tfm_encoded_view view_ = TFM_ENCODED_VIEW_INIT;
};

// ---- Model
// ----------------------------------------------------------------------------------------------------------

class model {
  public:
    static result<model> load(const char *path, const model_options &options = {}) {
        error error;
        tfm_model *out = nullptr;
        if (tfm_model_load(path, &options, &out, error.raw())) return error;
        return model(out);
    }
    // The memory must outlive the model.
    static result<model> load(const void *data, std::size_t size, const model_options &options = {}) {
        error error;
        tfm_model *out = nullptr;
        if (tfm_model_load_memory(data, size, &options, &out, error.raw())) return error;
        return model(out);
    }
    static result<model> load(const tfm_source &source, const model_options &options = {}) {
        error error;
        tfm_model *out = nullptr;
        if (tfm_model_load_source(&source, &options, &out, error.raw())) return error;
        return model(out);
    }

    model(const model &other) noexcept : handle_(other.get()) {
        if (get()) tfm_model_retain(get());
    }
    model(model &&) noexcept = default;
    model &operator=(model other) noexcept { return handle_ = std::move(other.handle_), *this; }

    result<model_info> info() const {
        error error;
        model_info info = TFM_MODEL_INFO_INIT;
        if (tfm_model_get_info(get(), &info, error.raw())) return error;
        return info;
    }
    tokenizer_ref tokenizer() const noexcept { return tokenizer_ref(tfm_tokenizer_of(get())); }
    // Of what an encoder-decoder's encoder reads; the same one where the files hold one vocabulary.
    tokenizer_ref source_tokenizer() const noexcept { return tokenizer_ref(tfm_source_tokenizer_of(get())); }
    std::uint64_t bytes() const noexcept { return tfm_model_bytes(get()); }

    result<encoded> encode(const tfm_encode_row *rows, std::size_t count,
                           const encode_options &options = {}) const {
        error error;
        tfm_encoded *out = nullptr;
        if (tfm_encode(get(), rows, count, &options, &out, error.raw())) return error;
        return encoded(out);
    }
    // The vectors of the texts, one behind the other, all of one width.
    result<std::vector<float>> embed(const std::vector<text_input> &texts,
                                     const embed_options &options = {}) const {
        error error;
        std::size_t width = 0;
        if (tfm_embed(get(), texts.data(), texts.size(), &options, nullptr, 0, &width, error.raw()))
            return error;
        std::vector<float> out(texts.size() * width);
        if (tfm_embed(get(), texts.data(), texts.size(), &options, out.data(), out.size(), nullptr,
                      error.raw()))
            return error;
        return out;
    }
    // Labels of texts, scores of pairs: the head's outputs for each.
    result<std::vector<float>> classify(const std::vector<text_input> &texts,
                                        std::size_t max_tokens = 0) const {
        error error;
        std::size_t outputs = 0;
        if (tfm_classify(get(), texts.data(), texts.size(), max_tokens, nullptr, 0, &outputs, error.raw()))
            return error;
        std::vector<float> out(texts.size() * outputs);
        if (tfm_classify(get(), texts.data(), texts.size(), max_tokens, out.data(), out.size(), nullptr,
                         error.raw()))
            return error;
        return out;
    }
    std::size_t tensor_count() const noexcept { return tfm_model_tensor_count(get()); }
    result<tfm_tensor_info> tensor(std::size_t index) const {
        error error;
        tfm_tensor_info info = TFM_TENSOR_INFO_INIT;
        if (tfm_model_tensor(get(), index, &info, error.raw())) return error;
        return info;
    }
    tfm_model *get() const noexcept { return handle_.get(); }

  private:
    explicit model(tfm_model *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_model, tfm_model_release> handle_;
};

// ---- Sampler
// --------------------------------------------------------------------------------------------------------

class sampler {
  public:
    static result<sampler> create(const sampler_options &options = {}) {
        error error;
        tfm_sampler *out = nullptr;
        if (tfm_sampler_create(&options, &out, error.raw())) return error;
        return sampler(out);
    }
    result<void> temperature(double value) { return set(TFM_SAMPLER_TEMPERATURE, value); }
    result<void> top_k(std::uint64_t value) { return set(TFM_SAMPLER_TOP_K, value); }
    result<void> top_p(double value) { return set(TFM_SAMPLER_TOP_P, value); }
    result<void> min_p(double value) { return set(TFM_SAMPLER_MIN_P, value); }
    result<void> repeat_penalty(double value) { return set(TFM_SAMPLER_REPEAT_PENALTY, value); }
    result<void> repeat_window(std::uint64_t value) { return set(TFM_SAMPLER_REPEAT_WINDOW, value); }
    result<void> seed(std::uint64_t value) { return set(TFM_SAMPLER_SEED, value); }

    // Any setting, by its number.
    result<void> set(std::int32_t setting, double value) {
        error error;
        return detail::done(tfm_sampler_set_f64(get(), setting, value, error.raw()), error);
    }
    result<void> set(std::int32_t setting, std::uint64_t value) {
        error error;
        return detail::done(tfm_sampler_set_u64(get(), setting, value, error.raw()), error);
    }
    result<double> get_f64(std::int32_t setting) const {
        error error;
        double value = 0;
        if (tfm_sampler_get_f64(get(), setting, &value, error.raw())) return error;
        return value;
    }
    result<std::uint64_t> get_u64(std::int32_t setting) const {
        error error;
        std::uint64_t value = 0;
        if (tfm_sampler_get_u64(get(), setting, &value, error.raw())) return error;
        return value;
    }
    tfm_sampler *get() const noexcept { return handle_.get(); }

  private:
    explicit sampler(tfm_sampler *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_sampler, tfm_sampler_destroy> handle_;
};

// ---- Session and generation
// -----------------------------------------------------------------------------------------

namespace detail {

inline tfm_sampler *raw(const sampler *sampler) noexcept { return sampler ? sampler->get() : nullptr; }

// Carries a callable through the C library. An exception must not cross it: it is kept, and thrown again
// behind it.
template <class F> struct callback {
    F &function;
#if TFM_HPP_EXCEPTIONS
    std::exception_ptr thrown = nullptr;
#endif
    static std::int32_t call(void *user, const tfm_token_event *event) {
        callback &self = *static_cast<callback *>(user);
#if TFM_HPP_EXCEPTIONS
        if (self.thrown) return 1;
        try {
            return self.invoke(*event);
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
#else
        return self.invoke(*event);
#endif
    }
    std::int32_t invoke(const tfm_token_event &event) {
        using answer = std::invoke_result_t<F &, const tfm_token_event &>;
        static_assert(std::is_void_v<answer> || std::is_same_v<answer, bool>,
                      "the callback returns nothing, or a bool: false stops");
        if constexpr (std::is_void_v<answer>) {
            function(event);
            return 0;
        } else {
            return function(event) ? 0 : 1;
        }
    }
    void rethrow() {
#if TFM_HPP_EXCEPTIONS
        if (thrown) std::rethrow_exception(thrown);
#endif
    }
};

} // namespace detail

// Text, pulled token by token. The session and the sampler are its until it ends and must outlive it.
class generation {
  public:
    // Valid until the next call that takes this generation. An event with `stop` set is the last.
    result<token_event> next() {
        error error;
        token_event event = TFM_TOKEN_EVENT_INIT;
        if (tfm_generation_next(get(), &event, error.raw())) return error;
        return event;
    }
    // Ends it, finished or not.
    generation_summary end() noexcept {
        generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
        tfm_generation_end(handle_.release(), &summary);
        return summary;
    }
    tfm_generation *get() const noexcept { return handle_.get(); }

  private:
    friend class session;
    static void end_quietly(tfm_generation *pointer) { tfm_generation_end(pointer, nullptr); }
    explicit generation(tfm_generation *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_generation, end_quietly> handle_;
};

class session {
  public:
    // Holds a reference to the model.
    static result<session> create(const model &model, const session_options &options = {}) {
        error error;
        tfm_session *out = nullptr;
        if (tfm_session_create(model.get(), &options, &out, error.raw())) return error;
        return session(out);
    }

    result<void> forward(const token *tokens, std::size_t count, const forward_options &options = {}) {
        error error;
        return detail::done(tfm_forward(get(), tokens, count, &options, error.raw()), error);
    }
    result<void> forward(const std::vector<token> &tokens, const forward_options &options = {}) {
        return forward(tokens.data(), tokens.size(), options);
    }
    // Valid until the session's next forward, rewind or end.
    result<logits_view> logits(std::size_t index = 0) const {
        error error;
        logits_view view{nullptr, 0};
        if (tfm_logits(get(), index, &view.data, &view.size, error.raw())) return error;
        return view;
    }
    std::size_t logits_count() const noexcept { return tfm_logits_count(get()); }

    std::size_t position() const noexcept { return tfm_session_position(get()); }
    std::size_t context() const noexcept { return tfm_session_context(get()); }
    tokens_view tokens() const noexcept { return {tfm_session_tokens(get()), position()}; }
    result<void> rewind(std::size_t position) {
        error error;
        return detail::done(tfm_session_rewind(get(), position, error.raw()), error);
    }
    result<session> fork() const {
        error error;
        tfm_session *out = nullptr;
        if (tfm_session_fork(get(), &out, error.raw())) return error;
        return session(out);
    }

    // The next token, from the last logits; nullptr: greedy.
    result<token> sample(const sampler *sampler = nullptr) {
        error error;
        token id = -1;
        if (tfm_sample_next(get(), detail::raw(sampler), &id, error.raw())) return error;
        return id;
    }
    result<std::vector<candidate>> top(std::size_t rows = 10) {
        error error;
        std::size_t count = 0;
        std::vector<candidate> table(rows);
        if (tfm_top_candidates(get(), table.data(), rows, &count, error.raw())) return error;
        table.resize(count);
        return table;
    }
    result<double> probability(token id) {
        error error;
        double probability = 0;
        if (tfm_token_probability(get(), id, &probability, error.raw())) return error;
        return probability;
    }

    // Calls on_token(const tfm::token_event &) for every token; it returns nothing, or a bool: false stops.
    // What it throws comes out here, and the session stays usable.
    template <class F>
    result<generation_summary> generate(const sampler *sampler, std::string_view prompt,
                                        const generate_options &options, F &&on_token) {
        using function = std::remove_reference_t<F>;
        error error;
        generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
        detail::callback<function> carried{on_token};
        std::int32_t status = tfm_generate(get(), detail::raw(sampler), prompt.data(), prompt.size(),
                                           &options, detail::callback<function>::call,
                                           static_cast<void *>(&carried), &summary, error.raw());
        carried.rethrow();
        if (status) return error;
        return summary;
    }
    // All of the text at once.
    result<std::string> generate(const sampler *sampler, std::string_view prompt,
                                 const generate_options &options = {}) {
        std::string text;
        auto summary = generate(sampler, prompt, options, [&text](const token_event &event) {
            text.append(event.bytes, event.length);
        });
        if (!summary) return summary.error();
        return text;
    }
    // The same, pulled.
    result<generation> begin(const sampler *sampler, std::string_view prompt,
                             const generate_options &options = {}) {
        error error;
        tfm_generation *out = nullptr;
        if (tfm_generation_begin(get(), detail::raw(sampler), prompt.data(), prompt.size(), &options, &out,
                                 error.raw()))
            return error;
        return generation(out);
    }

    tfm_session *get() const noexcept { return handle_.get(); }

  private:
    explicit session(tfm_session *pointer) noexcept : handle_(pointer) {}
    detail::handle<tfm_session, tfm_session_destroy> handle_;
};

} // namespace TFM_HPP_NAMESPACE
} // namespace tfm

#endif
