// Random vocabularies, rules and bytes through WordPiece: the same ids on one thread and on several, and none outside the
// vocabulary. `fuzz SEED CASES` tries so many; test_fuzz_wordpiece.py builds it with sanitizers. Every array has its
// exact size, so that a step beyond its end is seen.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "wellread.h"

namespace {

constexpr int PAGE = 128, PAGES = 0x110000 / PAGE;

void require(bool fine, uint64_t seed, const char *what) {
    if (fine) return;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), what);
    std::exit(1);
}

class Random {
  public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(engine_); }

    // Mostly letters, so that pieces are found; also spaces, ASCII of all kinds, and what is no UTF-8.
    std::vector<char> bytes(int count) {
        std::vector<char> result;
        for (int i = 0; i < count; i++) {
            const int kind = below(10);
            result.push_back(static_cast<char>(kind < 6 ? 'a' + below(4) : kind < 7 ? ' ' : below(256)));
        }
        return result;
    }

    std::vector<char> lines(int count) {
        std::vector<char> result;
        for (int i = 0; i < count; i++) {
            if (below(2)) result.insert(result.end(), {'#', '#'});
            for (char byte : bytes(below(5))) result.push_back(byte == '\n' ? 'x' : byte);
            result.push_back('\n');
        }
        return result;
    }

  private:
    std::mt19937_64 engine_;
};

// Give rules for most of the pages that texts often need, and for some of the others.
void give_pages(void *wordpiece, Random &random, uint64_t seed) {
    for (int page = 0; page < PAGES; page++) {
        if (random.below(page < 20 ? 20 : 60) == 0) continue;
        if (page >= 20 && random.below(50)) continue;
        std::vector<char> text;
        std::vector<int32_t> offsets{0};
        std::vector<uint8_t> moves;
        for (int code = 0; code < PAGE; code++) {
            const int kind = random.below(6);
            std::vector<char> rule;
            if (kind == 1) rule = {' '};
            if (kind == 2) rule = {' ', 'b', ' '};
            if (kind > 2) rule = page ? random.bytes(random.below(9)) : std::vector<char>{static_cast<char>(code)};
            text.insert(text.end(), rule.begin(), rule.end());
            offsets.push_back(static_cast<int32_t>(text.size()));
            moves.push_back(random.below(9) == 0);
        }
        text.shrink_to_fit();
        for (int again = 0; again < 2; again++)
            require(!wellread_wordpiece_page(wordpiece, page, text.data(), offsets.data(), moves.data()), seed, "page");
    }
}

void try_case(uint64_t seed) {
    Random random(seed);
    const int pieces = 2 + random.below(200);
    std::vector<char> vocabulary = random.lines(pieces), special;
    if (random.below(2)) special = {'[', 'A', ']', '\n', 'a', 'b', '\n'};
    const wellread_wordpiece given = {vocabulary.data(),
                                      static_cast<int64_t>(vocabulary.size()),
                                      special.data(),
                                      static_cast<int64_t>(special.size()),
                                      1,
                                      1 + random.below(20),
                                      random.below(2)};
    int32_t error = 0;
    void *wordpiece = wellread_wordpiece_load(&given, &error);
    require(wordpiece && !error, seed, "load");
    give_pages(wordpiece, random, seed);

    std::vector<char> utf8;
    std::vector<int64_t> offsets{0};
    for (int left = random.below(30); left > 0; left--) {
        for (char byte : random.bytes(random.below(20) ? random.below(60) : random.below(300000))) utf8.push_back(byte);
        offsets.push_back(static_cast<int64_t>(utf8.size()));
    }
    utf8.shrink_to_fit();
    std::vector<uint8_t> missing(PAGES);
    wellread_wordpiece_missing(wordpiece, utf8.data(), static_cast<int64_t>(utf8.size()), missing.data());

    const int64_t count = static_cast<int64_t>(offsets.size()) - 1;
    const wellread_texts texts = {utf8.data(), offsets.data(), count, random.below(3) ? -1 : random.below(8)};
    const size_t room = random.below(2) ? utf8.size() * 9 : static_cast<size_t>(random.below(10));
    std::vector<int32_t> ids(room, -1), by_threads(room, -1);
    std::vector<int64_t> lengths(static_cast<size_t>(count)), lengths_by_threads(static_cast<size_t>(count));
    const int64_t least = static_cast<int64_t>(room);
    const int64_t total = wellread_wordpiece_encode(wordpiece, &texts, 1, ids.data(), least, lengths.data());
    require(total >= 0, seed, "encode");
    require(
        total == wellread_wordpiece_encode(wordpiece, &texts, 4, by_threads.data(), least, lengths_by_threads.data()),
        seed, "as many ids by threads");
    require(lengths == lengths_by_threads, seed, "the same lengths by threads");
    int64_t sum = 0;
    for (int64_t length : lengths) sum += length > 0 ? length : 0;
    require(sum == total, seed, "lengths that add up");
    if (total <= least) {
        require(ids == by_threads, seed, "the same ids by threads");
        for (int64_t i = 0; i < total; i++)
            require(ids[static_cast<size_t>(i)] >= 0 && ids[static_cast<size_t>(i)] < pieces, seed, "an id");
    }
    wellread_wordpiece_free(wordpiece);
}

}  // namespace

int main(int, char **arguments) {
    const uint64_t first = std::strtoull(arguments[1], nullptr, 10);
    const uint64_t cases = std::strtoull(arguments[2], nullptr, 10);
    for (uint64_t seed = first; seed < first + cases; seed++) try_case(seed);
    std::printf("%llu cases\n", static_cast<unsigned long long>(cases));
}
