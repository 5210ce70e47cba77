"""To forget the orders that came before, as it is said in languages other than English."""

from __future__ import annotations

import regex

from governance.safety.normalization import normalize

# What must stand in the text for the rest to be tried; to forget, what came before, and what it was: German, French,
# Spanish, Portuguese, Italian, Dutch, Swedish, Polish, Russian, Turkish, Indonesian, Vietnamese, Arabic, Hindi,
# Bengali, Thai, Korean, Japanese, Chinese.
_WORDS = (
    (
        "ignorier|missacht|verg",
        r"\b(?:ignorier|missacht)\w*|\bverg(?:iss|esst|essen)\b",
        r"\b(?:vorherig|bisherig|vorangegangen|obig|früher)\w*",
        r"\b(?:anweisung|auftr[aä]g|befehl|instruktion|regel|vorgabe)\w*",
    ),
    (
        "ignor|oubli",
        r"\b(?:ignor|oubli)(?:e|er|ez|ons)\b",
        r"\b(?:précédent|antérieur|préalable)\w*|ci-dessus",
        r"\b(?:instruction|consigne|directive|ordre|règle)s?\b",
    ),
    (
        "ignor|olvid|omiso",
        r"\b(?:ignor|olvid)\w+|caso omiso",
        r"\b(?:anterior|previ[ao]|precedente)\w*|de arriba",
        r"\b(?:instrucci|indicaci|órden|regla|directri)\w*",
    ),
    (
        "ignor|desconsider|esque",
        r"\b(?:ignor|desconsider|esque[cç])\w+",
        r"\b(?:anterior|prévi)\w*|acima",
        r"\b(?:instruç|orientaç|comando|regra)\w*",
    ),
    (
        "ignor|dimentic|trascur",
        r"\b(?:ignor|dimentic|trascur)\w+",
        r"\bprecedent\w*|di cui sopra|qui sopra",
        r"\b(?:istruzion|indicazion|comand|regol)\w*",
    ),
    (
        "negeer|vergeet",
        r"\b(?:negeer|vergeet)\w*",
        r"\b(?:vorige|eerdere|voorgaande|bovenstaande)\b",
        r"\b(?:instructie|opdracht|regel)\w*",
    ),
    (
        "ignorera|glöm",
        r"\b(?:ignorera|glöm)\w*",
        r"\b(?:tidigare|föregående|ovanstående)\b",
        r"\b(?:instruktion|anvisning|regl)\w*",
    ),
    (
        "ignoruj|zapomnij",
        r"\b(?:z?ignoruj|zapomnij)\w*",
        r"\b(?:poprzedni|wcześniejsz|powyższ)\w*",
        r"\b(?:instrukcj|polece|wytyczn)\w*",
    ),
    (
        "игнорир|забудь",
        r"\b(?:про)?игнорир\w*|\bзабудь\w*",
        r"\b(?:предыдущ|прежн|вышеуказанн|все)\w*",
        r"\b(?:инструкц|указани|команд|правил)\w*",
    ),
    (
        "görmezden|yok say|unut",
        r"görmezden gel|yok say|\bunut",
        r"\b(?:önceki|yukarıdaki)\b",
        r"\b(?:talimat|komut|yönerge|kural)\w*",
    ),
    (
        "abaikan|lupakan",
        r"\b(?:abaikan|lupakan)\b",
        r"\bsebelumnya\b|di atas",
        r"\b(?:instruksi|perintah|petunjuk|aturan)\b",
    ),
    (
        "bỏ qua|phớt lờ|quên",
        r"\b(?:bỏ qua|phớt lờ|quên)\b",
        r"\btrước\b|(?:bên|ở) trên",
        r"hướng dẫn|chỉ dẫn|chỉ thị|mệnh lệnh|quy tắc",
    ),
    ("تجاهل|انس", r"تجاهل|\bانس", r"السابق|أعلاه|جميع", r"تعليمات|الأوامر|القواعد"),
    ("अनदेखा|नज़रअंदाज़|अवहेलना|भूल", r"अनदेखा|नज़रअंदाज़|अवहेलना|भूल", r"पिछले|पहले के|पूर्व|उपरोक्त|सभी", r"निर्देश|आदेश|नियमों"),
    ("উপেক্ষা|ভুলে|অগ্রাহ্য", r"উপেক্ষা|ভুলে|অগ্রাহ্য", r"আগের|পূর্ববর্তী|উপরের", r"নির্দেশ|আদেশ|নিয়ম"),
    ("เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ", r"เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ", r"ก่อนหน้า|ข้างต้น", r"คำสั่ง|คำแนะนำ|กฎ"),
    ("무시|잊어", r"무시|잊어", r"이전|위의|앞의|기존|모든", r"지시|명령|지침|규칙"),
    ("無視|忘れ", r"無視|忘れ", r"以前|前の|これまで|上記|上の|すべて", r"指示|命令|プロンプト|ルール"),
    (
        "忽略|无视|無視|忽視|忘记|忘記",
        r"忽略|无视|無視|忽視|忘记|忘記",
        r"之前|以上|上述|上面|先前|前面|所有",
        r"指令|指示|提示|命令|说明|說明|规则|規則",
    ),
)
_BETWEEN = r"[^.!?。।\n]{0,50}?"


def _in_any_order(forget: str, earlier: str, orders: str) -> regex.Pattern[str]:
    """The three within a sentence, in the orders that languages have them, as normalized text spells them."""
    both = ((earlier, orders), (orders, earlier))
    sequences = [(forget, *pair) for pair in both] + [(*pair, forget) for pair in both]
    alternatives = (_BETWEEN.join(f"(?:{word})" for word in words) for words in sequences)
    return regex.compile(normalize("|".join(alternatives)).text)


_IN_FULL = tuple((normalize(stems).text.split("|"), _in_any_order(*words)) for stems, *words in _WORDS)


def forgets_orders(text: str) -> bool:
    """Whether `text`, which is normalized and in lower case, tells somebody to forget earlier orders."""
    return any(any(stem in text for stem in stems) and pattern.search(text) for stems, pattern in _IN_FULL)
