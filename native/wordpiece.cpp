// WordPiece: texts in UTF-8 to ids; wellread.h says what goes in and out.
//
// A text is read once, code point by code point. Each becomes what its page of rules says: bytes of a word, or spaces,
// which end one. A word is cut by the longest match first: one piece that begins words, then such as go on.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "wellread.h"

namespace {

constexpr uint32_t PAGE = 128;  // code points that are given rules together; the first are ASCII
constexpr uint32_t PAGES = 0x110000 / PAGE;
constexpr int32_t LONGEST = 10000;             // a word at most; looking for pieces takes the square of that
constexpr int64_t BYTES_A_THREAD = 1 << 18;    // fewer are not worth a thread
constexpr uint64_t BASE = 0x9E3779B97F4A7C15;  // of the hashes; odd
constexpr uint64_t SPREAD = 0xD6E8FEB86659FD93;
constexpr std::string_view CONTINUES = "##";

// The hash of n bytes s is the sum of (s[i] + 1) * BASE^(n - 1 - i): that of a part follows from those of two prefixes.
inline uint64_t extend(uint64_t hash, char byte) { return hash * BASE + static_cast<unsigned char>(byte) + 1; }

inline bool begins_code_point(char byte) { return (byte & 0xC0) != 0x80; }

// Pieces and their ids, by hashes with open addressing. The bytes are compared, too: a hash only has to be good.
class Pieces {
  public:
    explicit Pieces(size_t count) {
        while ((size_t{1} << bits_) < 2 * count) bits_++;
        slots_.resize(size_t{1} << bits_);
    }

    // A piece that stands twice has its last id.
    void insert(std::string_view piece, int32_t id) {
        uint64_t hash = 0;
        for (char byte : piece) hash = extend(hash, byte);
        slots_[place(piece, hash)] = {piece.data(), static_cast<uint32_t>(piece.size()), id};
        longest_ = std::max(longest_, piece.size());
    }

    int32_t find(std::string_view piece, uint64_t hash) const { return slots_[place(piece, hash)].id; }  // -1: none

    size_t longest() const { return longest_; }  // in bytes

  private:
    struct Slot {
        const char *piece = nullptr;
        uint32_t size = 0;
        int32_t id = -1;
    };

    // Where a piece stands, or the free slot where it would.
    size_t place(std::string_view piece, uint64_t hash) const {
        size_t at = (hash * SPREAD) >> (64 - bits_);
        while (slots_[at].id >= 0 && std::string_view(slots_[at].piece, slots_[at].size) != piece)
            at = (at + 1) & (slots_.size() - 1);
        return at;
    }

    std::vector<Slot> slots_;
    int bits_ = 4;
    size_t longest_ = 0;
};

// What becomes of neighbouring code points.
struct Page {
    std::string text;
    int32_t offsets[PAGE + 1];
    uint8_t moves[PAGE];

    std::string_view rule(uint32_t code) const {
        const uint32_t at = code % PAGE;
        return {text.data() + offsets[at], static_cast<size_t>(offsets[at + 1] - offsets[at])};
    }
};

std::vector<std::string_view> lines(std::string_view text) {
    std::vector<std::string_view> result;
    for (size_t at = 0; at < text.size(); at += result.back().size() + 1)
        result.push_back(text.substr(at, text.find('\n', at) - at));
    return result;
}

class WordPiece {
  public:
    explicit WordPiece(const wellread_wordpiece &given)
        : pieces_text_(given.pieces, static_cast<size_t>(given.pieces_size)),
          special_text_(given.special, static_cast<size_t>(given.special_size)),
          pieces_(lines(pieces_text_)),
          special_(lines(special_text_)),
          begin_(pieces_.size()),
          inside_(count_continuing()),
          unknown_(given.unknown),
          longest_(static_cast<size_t>(given.longest)),
          in_bytes_(given.longest_in_bytes != 0),
          pages_(PAGES) {
        for (size_t id = 0; id < pieces_.size(); id++) {
            const std::string_view piece = pieces_[id];
            if (piece.empty()) continue;
            begin_.insert(piece, static_cast<int32_t>(id));
            if (continues(piece)) inside_.insert(piece.substr(CONTINUES.size()), static_cast<int32_t>(id));
        }
        for (std::string_view name : special_) starts_special_[static_cast<unsigned char>(name[0])] = true;
        powers_.push_back(1);
        while (powers_.size() < word_room() + 1) powers_.push_back(powers_.back() * BASE);
    }

    WordPiece(const WordPiece &) = delete;
    WordPiece &operator=(const WordPiece &) = delete;

    ~WordPiece() {
        for (std::atomic<Page *> &page : pages_) delete page.load();
    }

    // Bytes of a word that are kept: one more than the longest has, so that one that is too long is known by its size.
    size_t word_room() const { return longest_ * (in_bytes_ ? 1 : 4) + 1; }

    const Page *page(uint32_t number) const { return pages_[number].load(std::memory_order_acquire); }

    // Keep a page, unless another thread was first.
    void keep(uint32_t number, std::unique_ptr<Page> page) {
        Page *none = nullptr;
        if (pages_[number].compare_exchange_strong(none, page.get())) page.release();
    }

    bool starts_special(char byte) const { return starts_special_[static_cast<unsigned char>(byte)]; }

    bool is_special(std::string_view rest) const {
        const auto begins = [&](std::string_view name) { return rest.substr(0, name.size()) == name; };
        return starts_special(rest[0]) && std::any_of(special_.begin(), special_.end(), begins);
    }

    // Append the ids of a word, the hashes of whose first 0, 1, 2 ... bytes are `prefixes`.
    void split(std::string_view word, const uint64_t *prefixes, std::vector<int32_t> *ids) const {
        const size_t before = ids->size();
        size_t start = too_long(word) ? std::string_view::npos : 0;
        while (start < word.size()) {
            const Pieces &pieces = start == 0 ? begin_ : inside_;
            size_t size = std::min(word.size() - start, pieces.longest());
            int32_t id = -1;
            for (; size > 0 && id < 0; size--) {
                const size_t end = start + size;
                if (end == word.size() || begins_code_point(word[end]))
                    id = pieces.find(word.substr(start, size), prefixes[end] - prefixes[start] * powers_[size]);
            }
            start = id < 0 ? std::string_view::npos : start + size + 1;
            ids->push_back(id);
        }
        if (start == word.size()) return;
        ids->resize(before);
        ids->push_back(unknown_);
    }

  private:
    static bool continues(std::string_view piece) {
        return piece.size() > CONTINUES.size() && piece.substr(0, CONTINUES.size()) == CONTINUES;
    }

    size_t count_continuing() const {
        return static_cast<size_t>(std::count_if(pieces_.begin(), pieces_.end(), continues));
    }

    bool too_long(std::string_view word) const {
        if (in_bytes_ || word.size() <= longest_) return word.size() > longest_;
        return static_cast<size_t>(std::count_if(word.begin(), word.end(), begins_code_point)) > longest_;
    }

    std::string pieces_text_, special_text_;
    std::vector<std::string_view> pieces_, special_;
    Pieces begin_, inside_;
    bool starts_special_[256] = {};
    std::vector<uint64_t> powers_;  // of BASE
    int32_t unknown_;
    size_t longest_;
    bool in_bytes_;
    std::vector<std::atomic<Page *>> pages_;
};

// Read a code point and go behind it. The bytes are those of Python's encoder; others lead nowhere, but not astray.
inline uint32_t read_code_point(const char **at, const char *end) {
    const auto *bytes = reinterpret_cast<const unsigned char *>(*at);
    const uint32_t first = bytes[0];
    const int more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    if (end - *at <= more) {
        *at = end;
        return 0xFFFD;
    }
    *at += more + 1;
    if (more == 0) return first;
    uint32_t code = first & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) code = code << 6 | (bytes[i] & 0x3F);
    return std::min(code, 0x10FFFFu);
}

// Reads texts, one after another. Each thread has its own.
class Reader {
  public:
    explicit Reader(const WordPiece &rules)
        : rules_(rules), word_(rules.word_room()), prefixes_(rules.word_room() + 1) {
        const Page *ascii = rules.page(0);
        for (uint32_t code = 0; ascii && code < PAGE; code++) {
            const std::string_view rule = ascii->rule(code);
            if (rule.size() == 1 && rule != " " && !ascii->moves[code] &&
                !rules.starts_special(static_cast<char>(code)))
                plain_[code] = rule[0];
        }
    }

    // Append the ids of a text, `limit` at most; return how many. -1: it is left out.
    int64_t read(std::string_view text, size_t limit) {
        const char *at = text.data(), *end = at + text.size();
        const size_t before = ids.size();
        bool moved = false;  // whether what was read last, of all that is not removed, moves
        length_ = 0;
        while (at < end && ids.size() - before < limit) {
            const char *begin = at;
            at = append_plain(at, end);
            if (at > begin) moved = false;
            if (at == end) break;
            const std::string_view rest(at, static_cast<size_t>(end - at));
            const uint32_t code = read_code_point(&at, end);
            const Page *page = rules_.page(code / PAGE);
            const bool moves = page && page->moves[code % PAGE];
            if (!page || (moves && moved) || rules_.is_special(rest)) {
                ids.resize(before);
                return -1;
            }
            const std::string_view rule = page->rule(code);
            moved = rule.empty() ? moved : moves;
            for (char next : rule) next == ' ' ? finish_word() : append(next);
        }
        finish_word();
        ids.resize(std::min(ids.size(), before + std::min(limit, ids.size())));
        return static_cast<int64_t>(ids.size() - before);
    }

    std::vector<int32_t> ids;  // of all texts

  private:
    void append(char byte) {
        if (length_ == word_.size()) return;
        word_[length_] = byte;
        prefixes_[length_ + 1] = extend(prefixes_[length_], byte);
        length_++;
    }

    // Append ASCII up to what is not plain; the inner loop of English.
    const char *append_plain(const char *at, const char *end) {
        const size_t room = word_.size();
        size_t length = length_;
        uint64_t hash = prefixes_[length];
        for (; at < end; at++) {
            const auto code = static_cast<unsigned char>(*at);
            const char byte = code < PAGE ? plain_[code] : '\0';
            if (byte == '\0' || length == room) break;
            word_[length++] = byte;
            prefixes_[length] = hash = extend(hash, byte);
        }
        length_ = length;
        return at;
    }

    void finish_word() {
        if (length_) rules_.split({word_.data(), length_}, prefixes_.data(), &ids);
        length_ = 0;
    }

    const WordPiece &rules_;
    char plain_[PAGE] = {};  // what an ASCII character is in a word, where it is one byte and nothing else; else 0
    std::vector<char> word_;
    std::vector<uint64_t> prefixes_;
    size_t length_ = 0;  // of the word
};

// The texts that one thread reads, and its reader.
struct Share {
    Reader reader;
    int64_t first, last;
    bool failed = false;  // for want of memory

    void read(const wellread_texts &texts, int64_t *lengths) {
        const size_t limit = texts.limit < 0 ? SIZE_MAX : static_cast<size_t>(texts.limit);
        try {
            for (int64_t text = first; text < last; text++) {
                const int64_t begin = texts.offsets[text], end = texts.offsets[text + 1];
                lengths[text] = reader.read({texts.utf8 + begin, static_cast<size_t>(end - begin)}, limit);
            }
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    }
};

// Divide texts so that each share has about as many bytes.
std::vector<Share> divide(const WordPiece &rules, const wellread_texts &texts, int32_t threads) {
    const int64_t bytes = texts.offsets[texts.texts] - texts.offsets[0];
    const int64_t count = std::max<int64_t>(1, std::min<int64_t>(threads, bytes / BYTES_A_THREAD));
    std::vector<Share> shares;
    int64_t first = 0;
    for (int64_t n = 1; n <= count; n++) {
        const int64_t *begin = texts.offsets + first, *end = texts.offsets + texts.texts;
        const int64_t last =
            n == count ? texts.texts : std::lower_bound(begin, end, *texts.offsets + bytes / count * n) - texts.offsets;
        shares.push_back({Reader(rules), first, last});
        first = last;
    }
    return shares;
}

void read_shares(std::vector<Share> *shares, const wellread_texts &texts, int64_t *lengths) {
    std::vector<std::thread> others;
    others.reserve(shares->size());
    for (size_t n = 1; n < shares->size(); n++) {
        Share &share = (*shares)[n];
        try {
            others.emplace_back([&share, &texts, lengths] { share.read(texts, lengths); });
        } catch (const std::system_error &) {  // no thread is to be had
            share.read(texts, lengths);
        }
    }
    shares->front().read(texts, lengths);
    for (std::thread &other : others) other.join();
}

}  // namespace

extern "C" {

void *wellread_wordpiece_load(const wellread_wordpiece *given, int32_t *error) {
    *error = WELLREAD_BAD_SHAPE;
    if (given->longest < 1 || given->longest > LONGEST) return nullptr;
    try {
        void *rules = new WordPiece(*given);
        *error = WELLREAD_OK;
        return rules;
    } catch (const std::bad_alloc &) {
        *error = WELLREAD_NO_MEMORY;
        return nullptr;
    }
}

void wellread_wordpiece_free(void *wordpiece) { delete static_cast<WordPiece *>(wordpiece); }

int32_t wellread_wordpiece_page(void *wordpiece, int32_t number, const char *text, const int32_t *offsets,
                                const uint8_t *moves) {
    const auto page_number = static_cast<uint32_t>(number);
    if (page_number >= PAGES) return WELLREAD_BAD_SHAPE;
    try {
        auto page = std::make_unique<Page>();
        page->text.assign(text, static_cast<size_t>(offsets[PAGE]));
        std::copy_n(offsets, PAGE + 1, page->offsets);
        std::copy_n(moves, PAGE, page->moves);
        static_cast<WordPiece *>(wordpiece)->keep(page_number, std::move(page));
        return WELLREAD_OK;
    } catch (const std::bad_alloc &) {
        return WELLREAD_NO_MEMORY;
    }
}

int32_t wellread_wordpiece_missing(const void *wordpiece, const char *utf8, int64_t bytes, uint8_t *missing) {
    const auto &rules = *static_cast<const WordPiece *>(wordpiece);
    std::fill_n(missing, PAGES, uint8_t{0});
    missing[0] = 1;  // every text may have ASCII
    for (const char *at = utf8, *end = utf8 + bytes; at < end;) {
        if (*at & 0x80)
            missing[read_code_point(&at, end) / PAGE] = 1;
        else
            at++;
    }
    int32_t count = 0;
    for (uint32_t number = 0; number < PAGES; number++) {
        missing[number] &= rules.page(number) == nullptr;
        count += missing[number];
    }
    return count;
}

int64_t wellread_wordpiece_encode(const void *wordpiece, const wellread_texts *texts, int32_t threads, int32_t *ids,
                                  int64_t room, int64_t *lengths) {
    try {
        std::vector<Share> shares = divide(*static_cast<const WordPiece *>(wordpiece), *texts, threads);
        read_shares(&shares, *texts, lengths);
        int64_t total = 0;
        for (const Share &share : shares) {
            if (share.failed) return WELLREAD_NO_MEMORY;
            const std::vector<int32_t> &own = share.reader.ids;
            if (total + static_cast<int64_t>(own.size()) <= room) std::copy(own.begin(), own.end(), ids + total);
            total += static_cast<int64_t>(own.size());
        }
        return total;
    } catch (const std::bad_alloc &) {
        return WELLREAD_NO_MEMORY;
    }
}

}  // extern "C"
