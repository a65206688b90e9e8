/* idiom_chain.c - the idiom chain (成语接龙): each idiom begins with the last character of the one before,
 * and where several do, the model says which is the most probable continuation of the chain so far.
 *
 *     cc idiom_chain.c -o idiom_chain $(pkg-config --cflags --libs tfm)
 *     ./idiom_chain model.gguf 春暖花开
 *
 * What a player does by feeling, tfm_score does by numbers: the joint probability of the four characters,
 * however many tokens they are. The session keeps the chain; each candidate is scored behind it and rewound.
 */
#include <tfm/tfm.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST 12

static const char *const idioms[] = {
    "一心一意", "意气风发", "发扬光大", "大公无私", "私心杂念", "念念不忘", "忘乎所以", "以身作则",
    "为所欲为", "为人师表", "表里如一", "一马当先", "先发制人", "人山人海", "海阔天空", "空前绝后",
    "后来居上", "上下一心", "心安理得", "得心应手", "手到擒来", "来日方长", "长年累月", "月下老人",
    "人定胜天", "天长地久", "久别重逢", "逢凶化吉", "吉人天相", "相安无事", "事半功倍", "天下太平",
    "平易近人", "人才济济", "济世安民", "民不聊生", "生龙活虎", "虎头蛇尾", "尾大不掉", "掉以轻心",
    "心旷神怡", "怡然自得", "得意忘形", "形影不离", "离乡背井", "井井有条", "条理分明", "明月清风",
    "风平浪静", "静观其变", "变化多端", "端端正正", "正大光明", "明察秋毫", "毫不犹豫", "春暖花开",
    "开门见山", "山清水秀", "秀外慧中", "中流砥柱", "水落石出", "出人头地", "地大物博", "博古通今",
    "今非昔比", "比比皆是", "是非曲直", "直言不讳", "花好月圆", "春风得意", "春华秋实", "实事求是",
    "国泰民安", "安居乐业", "业精于勤", "勤能补拙", "风花雪月", "月明星稀", "月白风清", "清风明月",
    "日新月异", "异想天开", "开天辟地", "白云苍狗", "狗急跳墙", "高山流水", "水到渠成", "成家立业",
    "落叶归根", "根深叶茂", "茂林修竹", "千山万水", "水天一色", "江山如画", "画龙点睛", "画蛇添足",
    "足智多谋", "谋事在人", "海枯石烂", "烂醉如泥", "泥牛入海", "大江东去", "去伪存真", "真心实意",
    "马到成功", "功成名就", "就地取材", "一言九鼎", "鼎鼎大名", "名山大川", "川流不息", "息息相关",
    "龙飞凤舞", "舞文弄墨", "墨守成规", "规行矩步", "步步高升", "升堂入室"};
#define COUNT (sizeof idioms / sizeof *idioms)

/* Bytes of the first and where the last character of UTF-8 begins. */
static size_t first_length(const char *text) {
    size_t length = text[0] ? 1 : 0;
    while (((unsigned char)text[length] & 0xc0) == 0x80) length++;
    return length;
}
static const char *last_character(const char *text) {
    const char *at = text + strlen(text);
    while (at > text && ((unsigned char)*--at & 0xc0) == 0x80) {}
    return at;
}

static int follows(const char *before, const char *idiom) {
    const char *last = last_character(before);
    size_t length = first_length(idiom);
    return length == strlen(last) && !memcmp(last, idiom, length);
}

/* The idiom that goes on most probably, or COUNT if none does; its probability. Below 0: failed. */
static int choose(tfm_session *session, const char *before, const int *used, size_t *best,
                  double *log_probability, size_t *candidates, tfm_error *error) {
    size_t position = tfm_session_position(session);
    *best = COUNT;
    *candidates = 0;
    for (size_t i = 0; i < COUNT; i++) {
        tfm_score_result result = TFM_SCORE_RESULT_INIT;
        if (used[i] || !follows(before, idioms[i])) continue;
        if (tfm_score(session, "，", strlen("，"), idioms[i], strlen(idioms[i]), NULL, NULL, 0, &result,
                      error) ||
            tfm_session_rewind(session, position, error))
            return -1;
        if (*best == COUNT || result.log_probability > *log_probability) {
            *best = i;
            *log_probability = result.log_probability;
        }
        ++*candidates;
    }
    return 0;
}

/* The chain so far, as tokens in the session. */
static int append(tfm_session *session, const char *comma, const char *idiom, tfm_error *error) {
    return tfm_score(session, comma, strlen(comma), idiom, strlen(idiom), NULL, NULL, 0, NULL, error);
}

static int chain(tfm_session *session, const char *first, tfm_error *error) {
    int used[COUNT] = {0};
    const char *now = first;
    printf("%s\n", first);
    if (append(session, "", first, error)) return -1;
    for (size_t i = 0; i < COUNT; i++) used[i] = !strcmp(idioms[i], first);
    for (int step = 0; step < MOST; step++) {
        size_t best, candidates;
        double log_probability = 0;
        if (choose(session, now, used, &best, &log_probability, &candidates, error)) return -1;
        if (best == COUNT) break;
        printf("%s  (%zu to choose from, probability 10^%.1f)\n", idioms[best], candidates,
               log_probability / log(10));
        used[best] = 1;
        now = idioms[best];
        if (append(session, "，", now, error)) return -1;
    }
    return 0;
}

int main(int argc, char **argv) {
    tfm_error error = TFM_ERROR_INIT;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    if (argc < 2 || argc > 3 || (argc == 3 && !argv[2][0])) {
        fprintf(stderr, "usage: idiom_chain MODEL [IDIOM]\n");
        return 2;
    }
    int failed = tfm_model_load(argv[1], NULL, &model, &error) ||
                 tfm_session_create(model, NULL, &session, &error) ||
                 chain(session, argc == 3 ? argv[2] : "春暖花开", &error);
    if (failed) fprintf(stderr, "idiom_chain: %s\n", error.message);
    tfm_session_destroy(session);
    tfm_model_release(model);
    return failed;
}
