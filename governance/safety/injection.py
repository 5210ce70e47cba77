"""Instructions planted in a document for whoever has a machine read it (indirect prompt injection).

A second line of defence: passages are data whatever they say (Greshake et al., "Not what you've signed up for", 2023).
It is made for precision, so that a runbook keeps its imperatives: it finds text that speaks to the machine.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from governance.safety.forgetting import forgets_orders
from governance.safety.normalization import normalize

_ORDERS = r"(?:instruct\w*|prompts?|directions?|directives?|commands?|orders|guidelines?|rules?|programming|training)"
_EARLIER = r"(?:previous\w*|prior|above|earlier|preceding|former|existing|original|initial|system|your|all)"
_MACHINE = (
    r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language models?|llms?|chat ?bots?|(?:chat)?gpt(?:-\w+)?|copilot|"
    r"(?:ai |virtual |digital )?assistants?)"
)
_ADDRESSEE = r"(?:ai(?: \w+)?|(?:large )?language model|llm|chatgpt|gpt-?\d|(?:ai |virtual )?assistant|chat ?bot)"
_TELL = (
    r"(?:ignore|disregard|forget|reveal|output|print|repeat|respond|reply|answer|say|tell|state|include|append|insert|"
    r"send|forward|email|delete|execute|run|follow|obey|act|pretend|recommend|rate|approve|do not|don't|never|always|"
    r"you (?:must|should|will|are))"
)
_HOLDS_SECRETS = r"(?:system|hidden|secret|initial|original|developer|internal)"

_FORGET_WHAT_CAME_BEFORE = (
    rf"\b(?:ignore|disregard|forget|override|bypass|neglect|discard|abandon)\b(?: \w+){{0,3}}? {_EARLIER}\b"
    rf"(?:[ ,]+\w+){{0,4}}? ?{_ORDERS}\b",
    r"\b(?:ignore|disregard|forget)\b(?: \w+){0,4}? (?:text|content|context|told|said|written|everything|all) "
    r"(?:\w+ )?(?:above|before|previously|so far|until now)\b",
    r"\b(?:ignore|disregard|forget) (?:all |everything )?(?:of )?(?:the )?above,? (?:and|then)(?: \w+)? (?:answer|give|"
    r"output|print|repeat|reply|respond|reveal|say|show|state|tell|translate|write)\b",
    r"\bforget (?:everything|all)(?: \w+){0,4}? (?:before|above|told|previous\w*|learned|tasks|assignments)\b",
    r"\b(?:do not|don't|stop) (?:follow|obey|adher)\w*(?: \w+){0,3}? (?:previous|prior|above|earlier|system) "
    rf"{_ORDERS}\b",
    rf"\b(?:drop|change) (?:all )?your {_ORDERS}\b|\byour instructions are now\b",
    r"\b(?:new|updated|real|secret|hidden) (?:system )?(?:instructions?|prompt|task) ?:",
    r"\byour (?:new|real|actual|true) (?:task|instructions?|role|goal|objective|purpose|job) (?:is|are)\b",
)
_SPEAKS_TO_THE_MACHINE = (
    r"(?:^|[\n.!?>\])*\"'_-] ?|\b(?:dear|hey|hello|attention|attn|important|note|notice|message)(?: to| for)?"
    rf"(?: the| any)? ?[:,-]? ?){_ADDRESSEE}(?: \w+){{0,3}} ?[:,!-]+ ?(?:please |now |you (?:must |should "
    rf")?)?{_TELL}\b",
    r"\b(?:note|notice|message|instruction|reminder|command|directive)s? (?:to|for) (?:the |any |all |every )?"
    rf"(?:{_MACHINE}|model) ?(?:reading|processing|summari[sz]ing|answering|analy[sz]ing|[:,.!-])",
    rf"\bif you are (?:an? |the )?(?:{_MACHINE}|automated (?:system|agent)|bot|machine)\b.{{0,80}}\b{_TELL}\b",
    rf"\bas an? (?:{_MACHINE}|ai model),? you (?:must|should|will|shall|are required|need to|have to)\b",
    rf"\b(?:any|every|all|the) {_MACHINE} (?:that |who |which )?(?:reads?|reading|process\w+|summari[sz]\w+|sees?) "
    r"(?:this|the)\b.{0,60}\b(?:must|should|shall|has to|have to|will)\b",
    r"\bwhen (?:asked|answering|summari[sz]ing|you (?:answer|respond|summari[sz]e|are asked))\b[^.\n]{0,80}[,:] ?"
    r"(?:always |you must |never |instead |only )(?:say|reply|respond|answer|state|tell|reveal|recommend|claim|"
    r"output)\b",
)
_SHAPES_THE_ANSWER = (
    r"(?:^|[.!?:\n]\W?\s?)(?:please |also |always |instead,? )?(?:add|include|insert|append|introduce|integrate|"
    r"incorporate|"
    r"remove|replace|reverse|rearrange|misspell|mention|embed|encode|translate|write|give|end|begin|"
    r"start)\b[^\n]{0,200}?"
    r"\b(?:in|to|from|of|with|into|within|throughout|at the end of) your (?:answer|response|reply|output)s?\b",
    r"(?:^|[.!?:\n]\W?\s?)(?:misspell|reverse|rearrange|encode|translate|replace) [^\n]{0,80}\byour (?:answer|"
    r"response|reply)\b",
)

_ASKS_FOR_SECRETS_OR_ANOTHER_ROLE = (
    r"\b(?:reveal|repeat|print|show|output|display|leak|disclose|expose|dump|give|tell)\b(?: \w+){0,4}? (?:your|"
    r"the|its) "
    rf"(?:\w+ )?{_HOLDS_SECRETS} (?:prompt|instruct\w+|message|rules)\b",
    r"\b(?:reveal|show|give|tell|print|repeat)(?: me| us)? (?:all )?(?:of )?your (?:\w+ )?"
    r"(?:prompts?(?: texts?)?|instructions)\b",
    r"\byou are (?:now|no longer) (?:\w+ ){0,3}?(?:dan|unrestricted|jailbroken|unfiltered|bound|in \w+ mode|acting|"
    r"playing|an? (?:evil|different|unrestricted|pirate|hacker|\w+bot|ai))\b",
    r"\bfrom now on,? (?:you (?:will|must|are) \w+ing|you (?:will|must) (?:answer|respond|reply|act|only|never|"
    r"always)|answer|"
    r"respond|reply|act|pretend|ignore|every (?:answer|reply))\b",
    r"\b(?:enter|activat|initiat|switch)\w*(?: to| into)?(?: \w+){0,3}? "
    r"(?:developer|dan|jailbreak|god|unrestricted|sudo|override) mode\b",
    r"\bdo anything now\b|\bi want you to (?:act|behave|respond) (?:as|like) (?:an? |the )?\w+",
    r"\b(?:output|print|repeat|reveal|show)\b[^.\n]{0,30}\b(?:above|entire|full|previous|whole) prompts?\b",
)
_MARKS_OF_A_CONVERSATION = (
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|start_header_id|eot_id)\|>",
    r"\[/?inst\]|<</?sys>>|</?system(?: (?:message|mode|prompt))?(?: activated)?>|\[system\]\(#",
    r"(?:^|\n) ?(?:#+ ?)?system ?(?:prompt|message|override|instruction)s? ?:",
)
_OTHER_LANGUAGES = (
    r"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*)\b(?: \w+){0,3}? "
    r"(?:anweisung\w*|instruktion\w*|befehl\w*|vorgaben|aufgaben)\b",
    r"\b(?:ignora\w*|olvida\w*)\b(?: \w+){0,3}? (?:instruccion\w*|instruções|istruzioni|indicaciones|órdenes)\b",
    r"\b(?:ignore[zr]?|oublie[zr]?)\b(?: \w+){0,3}? (?:instructions?|consignes|directives) (?:\w+ )?"
    r"(?:précédent|ci-dessus)",
    r"\bvergiss alles\b|\bolvid\w+ todo\b",
    r"(?:忽略|无视|無視|忘记|忘記)[^。\n]{0,12}(?:指令|指示|提示|命令)",
    r"(?:これまで|以前|上記)の(?:指示|命令)[^。\n]{0,6}(?:無視|忘れ)",
)

_PLANTED = tuple(
    regex.compile(pattern, regex.IGNORECASE)
    for pattern in (
        *_FORGET_WHAT_CAME_BEFORE,
        *_SPEAKS_TO_THE_MACHINE,
        *_SHAPES_THE_ANSWER,
        *_ASKS_FOR_SECRETS_OR_ANOTHER_ROLE,
        *_MARKS_OF_A_CONVERSATION,
        *_OTHER_LANGUAGES,
    )
)


# The same passages answer many questions.
@lru_cache(maxsize=4_096)
def planted_instruction(text: str) -> bool:
    """Whether `text` holds an instruction meant for a machine that reads it.

    Compatibility forms, invisible characters, Unicode tags and look-alike letters are undone first.
    """
    plain = normalized(text)
    return any(pattern.search(plain) for pattern in _PLANTED) or forgets_orders(plain)


def normalized(text: str) -> str:
    """`text` as these patterns read it: normalized, in lower case, and white space within a line as one space."""
    # Lower case first, because fewer small letters than capitals look alike; tag characters spell capitals after it.
    return str(regex.sub(r"[^\S\n]+", " ", normalize(text.lower()).text.lower()))
