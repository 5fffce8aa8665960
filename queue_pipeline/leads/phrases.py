"""Phrases by which a message is recognised, as data. Each is searched in one sentence: lower case, straight quotes.

They prefer precision: a phrase that only perhaps means something is not here, and its message goes to a person.
"""

import re

#: Changes with every change of a phrase; recorded with each classification.
VERSION = "2026-11-24.1"


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{alternative})" for alternative in alternatives))


_MAILS = (
    r"(?:e-?mails?|messages?|texts?|sms|calls?|spam|newsletters?|mailings?|communications?|marketing|updates|outreach)"
)
_MY_DETAILS = r"(?:my|our|this) (?:name|e-?mail|mail|address|number|phone|contact|details|data|info)\w*"

#: A whole message that consists of nothing else.
STOP_WORD = re.compile(
    r"(?:please |pls )?(?:stop(?: ?all)?|stop it|unsubscribe(?: me)?|opt[ -]?out|optout|remove(?: me)?|revoke|arr[eê]t"
    r"|stopp|abmelden|austragen|d[ée]sabonner|d[ée]sinscription|baja)(?:,? (?:please|pls|now|thanks|thank you"
    r"|bitte))*[\s.!]*"
)
#: What carriers treat as a stop word too; elsewhere these words may mean an appointment or a subscription.
STOP_WORD_SMS = re.compile(r"(?:please )?(?:cancel|end|quit)[\s.!]*")

OPT_OUT = _any(
    r"\bunsubscribe (?:me|us|this (?:address|e-?mail|number))\b",
    r"^(?:hi|hello|hey)?,? ?please unsubscribe\b",
    r"\bplease unsubscribe[\s.!]*$",
    r"^how (?:do|can) i (?:unsubscribe|opt out|stop (?:getting|receiving) (?:these|those|your) \w+)"
    r"(?: from (?:this|these|your) [\w ]{1,20})?\s*[?.!]*$",
    r"\b(?:i|we)(?:'d| would)? (?:want|like|wish|need|prefer) to (?:unsubscribe|opt out|be (?:removed|taken off"
    r"|unsubscribed))\b",
    r"\bopt (?:me|us) out\b",
    r"\b(?:please opt|i opt|i'm opting|i am opting) out\b",
    r"\b(?:take|remove|delete|drop|strike|get) (?:me|us) (?:off|from) (?:of )?(?:your|the|this|that|any|all)\b"
    r"(?! (?:\w+ )?(?:cc|thread|invite|invitation|meeting|call|calendar|chat|project|account|channel|booking|trial"
    r"|waitlist))",
    r"\bremove (?:me|us)(?:,? (?:please|now|immediately|asap|thanks))*[\s.!]*$",
    rf"\b(?:remove|delete|erase) {_MY_DETAILS}\b",
    r"(?<!not )(?<!n't )(?<!never )\bstop (?:e-?mailing|contacting|texting|messaging|writing(?: to)?|spamming"
    r"|bothering|harassing"
    r"|pestering|calling|reaching out to)(?: (?:me|us|this (?:address|number))\b|[\s.!]*$)",
    rf"(?<!not )(?<!n't )(?<!never )\bstop (?:sending|with) (?:me |us )?(?:these|those|this|your|the|any|all"
    rf"|more)?\s?{_MAILS}\b",
    r"(?<!you )(?<!they )(?<!why )\b(?:do not|don't|never) (?:ever )?(?:contact|e-?mail|text|message|write to|write"
    r"|bother|spam)"
    r" (?:me|us|this (?:address|number))\b",
    r"(?<!you )(?<!they )\b(?:do not|don't|never) (?:ever )?(?:call|phone|ring) (?:me|us|this number) (?:again|any"
    r" ?more|ever)\b",
    rf"^(?:please,? )?no (?:more|further) (?:of (?:these|your) )?{_MAILS}(?:,? (?:please|thanks|thank you))*[\s.!]*$",
    rf"\b(?:do not|don't|no longer) (?:want|wish|care)(?: to (?:receive|get|have|see))? (?:any|more|further|these"
    rf"|those|your|such)"
    rf"(?: (?:more|further|of (?:these|your)))?(?: \w+)? ?{_MAILS}\b",
    r"\b(?:do not|don't|no longer) (?:want|wish) (?:to (?:hear from|be (?:contacted|e-?mailed|called|texted))|you to"
    r" (?:contact|e-?mail"
    r"|text|write))\b",
    r"\bleave (?:me|us) alone\b",
    r"\blose my number\b",
    r"\b(?:fuck|piss|bugger) off\b",
    r"\b(?:mark|report)(?:ed|ing)? (?:this|you|it|these|your \w+) (?:as|for) spam\b",
    # German
    r"\b(?:kontaktieren|anschreiben|belästigen|bel[aä]stigen) sie (?:mich|uns)(?: bitte)? nicht(?: mehr| weiter)?\b",
    r"\bschreib(?:en sie|t|e)? (?:mir|uns)(?: bitte)? (?:nicht|keine \w+) mehr\b",
    r"\bkeine (?:weiteren )?(?:e-?mails?|mails|nachrichten|anrufe|werbung|sms)(?: mehr)?(?: bitte| an mich| schicken"
    r"| senden)?[\s.!]*$",
    r"\b(?:nehmen|streichen|entfernen|l[öo]schen|tragen) sie (?:mich|meine (?:e-?mail|adresse|daten|nummer"
    r"|kontaktdaten)\w*)\b",
    r"\bmelden sie mich(?: bitte)? (?:ab|von)\b|\bich m[öo]chte (?:mich (?:abmelden|austragen)|abgemeldet werden)\b",
    r"\bich (?:m[öo]chte|will|w[üu]nsche) keine (?:weiteren )?(?:e-?mails?|mails|nachrichten|anrufe|werbung)\b",
    # French
    r"\bd[ée]sabonne[zr]?[- ](?:moi|nous)\b|\b(?:me|nous) d[ée]sabonner\b|\bd[ée]sinscri(?:vez|re)[- ]?(?:moi|nous)?\b",
    r"\bne (?:me|nous) (?:contactez|recontactez|[ée]crivez|envoyez|appelez) (?:plus|pas)\b",
    r"\bretirez[- ](?:moi|nous|mon|mes)\b|\bsupprimez[- ](?:moi|mon|mes)\b",
    r"\bje (?:ne )?(?:veux|souhaite|d[ée]sire) plus (?:recevoir|[êe]tre contact[ée]e?)\b",
    r"\barr[êe]tez de (?:m'|me |nous )",
    # Spanish
    r"\bno (?:me|nos) (?:contacte[ns]?|escrib[ae][ns]?|env[ií]e[ns]?|llame[ns]?) (?:m[áa]s|nunca)\b",
    r"\b(?:dar|d[ée]|den|da)me de baja\b|\bquiero darme de baja\b",
    r"\bno (?:quiero|deseo) (?:recibir m[áa]s|que me (?:contacten|escriban|llamen)|m[áa]s (?:correos|mensajes"
    r"|llamadas))\b",
    r"\bdej(?:e|en|a|ad) de (?:escribir|contactar|enviar|llamar)(?:me|nos)\b",
    r"\b(?:elimin|borr)e[ns]? mi (?:correo|n[úu]mero|direcci[óo]n|datos)\b",
)
#: In the same sentence these turn "do not write to me" into a wish about when or how.
NOT_OPT_OUT = _any(
    r"\b(?:until|till|before|unless|instead|rather|while|during|at work|at night|on weekends?|by (?:phone|text"
    r"|e-?mail))\b",
    r"\bbut (?:call|text|e-?mail|message|write|whatsapp|use)\b",
    r"\b(?:contract|plan|trial|clause|insurance|auto-?renew\w*|feature)\b",
)

_SUBJECT_TAIL = (
    r"\s*(?:$|[:\-\u2013\u2014(|\[]|(?:re|to|from|until|till|through|this|today|next|bis|vom|ab|du|jusqu|hasta)\b)"
)
ABSENT_SUBJECT = re.compile(
    r"\s*(?:(?:automatic|auto)[\s-]?(?:reply|response)|out[\s-]of[\s-](?:the[\s-])?office|ooo|on (?:annual |parental )?"
    r"(?:vacation|leave|holiday)|abwesenheit(?:snotiz)?|abwesend|automatische antwort|nicht im b[üu]ro|im urlaub"
    r"|r[ée]ponse automatique|(?:message d')?absence(?: du bureau)?|absente?(?: du bureau)?|en cong[ée]s?"
    r"|respuesta autom[áa]tica|fuera de (?:la )?oficina|ausente|ausencia)" + _SUBJECT_TAIL
)
ABSENT_BODY = _any(
    r"\bi(?: am|'m| will be|'ll be)(?: currently| presently| now| also)?(?: away and)?(?: out of (?:the )?office|"
    r" out of town"
    r"| on (?:vacation|holiday|pto|(?:annual |parental |maternity |paternity |sick |medical |bereavement )?leave)"
    r"| away from (?:the office|my (?:desk|e-?mail|computer))| (?:away|unavailable|out) (?:until|till|from|through"
    r"|and will))",
    r"^(?:i am |i'm |currently )?out of (?:the )?office (?:until|till|from|through|and|with)\b",
    r"\bi (?:have|will have)(?: very)? limited (?:or no )?access to (?:my )?(?:e-?mails?|internet|messages)\b",
    r"\b(?:our|the) office is (?:currently )?closed (?:until|from|for|between)\b",
    r"\bich (?:bin|befinde mich)\b.{0,60}\b(?:nicht im (?:b[üu]ro|haus)|im urlaub|abwesend|au(?:ß|ss)er haus|auf"
    r" (?:dienst|gesch[äa]fts)reise"
    r"|in elternzeit|nicht erreichbar)\b",
    r"\b(?:derzeit|zurzeit|momentan|aktuell) (?:nicht im (?:b[üu]ro|haus)|im urlaub|abwesend)\b",
    r"\bje (?:suis|serai)(?: actuellement)? (?:absente?|en cong[ée]s?|en vacances|en d[ée]placement|hors du bureau)\b",
    r"\b(?:estoy|estar[ée]|me encuentro)(?: actualmente)? (?:fuera de (?:la )?oficina|de vacaciones|ausente|de"
    r" permiso)\b",
)
#: A person who says that they are away and wants something.
ABSENT_BUT_ASKS = _any(
    r"\?", r"\blet'?s\b|\blet us\b", r"\bcan we\b", r"\bworks for (?:me|us)\b",
    r"\b(?:reach out|get back|check back|circle back|follow up|write)(?: to me| again)? (?:in|after|next|then|when)\b",
    r"\bafter (?:that|which)\b", r"\btalk (?:then|when|after|the week)\b",
)  # fmt: skip

AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:undeliver(?:able|ed)|mail delivery (?:failed|failure|subsystem)|delivery (?:status notification|failure"
    r"|has failed)"
    r"|returned mail|failure notice|message (?:not delivered|blocked)|unzustellbar|non remis|no se puede entregar)\b"
)
AUTOMATIC_BODY = _any(
    r"\bthis is an auto(?:mated|matic|matically generated|-generated) (?:message|reply|response|e-?mail"
    r"|notification)\b",
    r"\b(?:please )?(?:do not|don't) reply to this (?:e-?mail|message)\b",
    r"\bthis (?:mailbox|inbox|address) is (?:not|un)\s?(?:being )?monitored\b",
    r"\b(?:we(?: have|'ve)?|i have) received your (?:message|request|enquiry|inquiry|e-?mail|ticket)\b.{0,120}"
    r"\b(?:ticket|case|reference|request) (?:id|number|no|#)",
    r"\bdies ist eine automatisch (?:generierte|erstellte)\b",
    r"\bceci est un (?:message|e-?mail) automatique\b|\beste es un (?:mensaje|correo) autom[áa]tico\b",
)

WRONG_PERSON = _any(
    r"\bnot the (?:right|correct|best|appropriate) (?:person|contact|one|department|team|point of contact|decision[-"
    r" ]?maker)\b",
    r"\bwrong (?:person|number|guy|contact|department|recipient|address|e-?mail(?: address)?|phone number)\b",
    r"\bno longer (?:work(?:s|ing)? (?:at|for|here|there|in (?:that|this))|(?:employed )?(?:with|at) (?!you\b"
    r"|your\b)|here\b|employed\b|in charge"
    r"|responsible|the (?:right|contact|owner|person))",
    r"\bi(?:'ve| have)? (?:left|quit|resigned from|retired from|moved on from) (?:the (?:company|firm"
    r"|organi[sz]ation|business|team|role"
    r"|position)|that (?:company|job|role)|my (?:job|role|position|post))\b",
    r"\b(?:he|she|they|[a-z]+)(?: has| have|'s)? left (?:the company|our company|the firm|the organi[sz]ation|us"
    r" last)\b",
    r"\bi(?:'m| am) (?:now )?retired\b",
    r"\b(?:took|has taken|have taken|taking) over (?:from me|my (?:role|position|job|tasks|accounts))\b",
    r"\b(?:i|we) (?:do not|don't) (?:handle|deal with|look after|manage|take care of|decide on|make) (?:this|that"
    r"|these|those|such|it\b"
    r"|purchasing|procurement|buying|\w+ decisions)",
    r"\bnot my (?:department|area|responsibility|field|remit)\b",
    r"\b(?:i'm|i am|we're|we are) not (?:responsible for|in charge of|involved in|the one (?:who|for))\b",
    r"\bthis (?:is not|isn't|is no longer) \w+'s (?:number|phone|e-?mail|address|account)\b",
    r"\b(?:contact|ask|try|e-?mail|write to|talk to|speak (?:to|with)|reach out to) (?!me\b|us\b)[\w.@ -]{2,40}"
    r" instead\b(?! of)",
    r"\b(?:bin|sind)(?: leider)? nicht (?:der|die) (?:richtige|zust[äa]ndige|korrekte)\b|\bnicht (?:mehr"
    r" )?(?:daf[üu]r )?zust[äa]ndig\b",
    r"\barbeite nicht mehr (?:bei|f[üu]r|dort|hier)\b|\bfalsche[rn]? (?:person|nummer|ansprechpartner\w*|adresse)\b",
    r"\bhabe (?:das unternehmen|die firma) verlassen\b",
    r"\b(?:pas|plus) la bonne personne\b|\bmauvais (?:num[ée]ro|interlocuteur|destinataire)\b|\bmauvaise personne\b",
    r"\bne travaille plus (?:chez|pour|ici)\b|\bj'ai quitt[ée] (?:l'entreprise|la soci[ée]t[ée])\b",
    r"\bno soy la persona (?:adecuada|correcta|indicada)\b|\b(?:persona|n[úu]mero) equivocad[ao]\b|\bya no trabajo"
    r" (?:en|para|aqu[íi]|con)\b",
)
NOT_WRONG_PERSON = _any(
    r"\b(?:may|might|if|not sure|unsure|whether|in case)\b",
    r"\b(?:do|did|have|am|are) (?:i|we|you)\b.{0,20}\bwrong\b",
)

_CALL = r"(?:call|ring|phone|telephone|dial|buzz)"
CALL = _any(
    rf"\b{_CALL} (?:me|us)\b",
    rf"\b{_CALL} (?:my|our) (?:cell\w*|mobile|office|phone|number|desk|landline|direct line)\b",
    rf"\b(?:please|pls|kindly|can you|could you|would you|just) {_CALL} (?:back|at|on|this number|\+?\(?\d)",
    r"\bgive (?:me|us|my \w+|our office) an? (?:quick |short )?(?:call|ring|buzz|bell|phone call|call ?back|tinkle)\b",
    r"\bcall[- ]?back (?:please|requested|request)\b|\bplease call ?back\b",
    r"\b(?:request|requesting|prefer|'d like|would like|like|want|need|love|appreciate) (?:a |to (?:get|have"
    r"|receive) a )?"
    r"(?:phone call|call[ -]?back|telephone call)\b",
    r"\brufen sie (?:mich|uns)\b.{0,40}\b(?:an|zur[üu]ck)\b|\bruf (?:mich|uns)\b.{0,30}\b(?:an|zur[üu]ck)\b|\bbitte"
    r" um (?:r[üu]ckruf|anruf)\b"
    r"|\bbitte zur[üu]ckrufen\b",
    r"\br?appelez[- ](?:moi|nous)\b|\bpouvez-vous (?:me|nous) r?appeler\b",
    r"\bll[áa]m(?:a|e|en)me\b|\b(?:me|nos) pued(?:e|en|es) llamar\b|\bpued(?:e|en|es) llamar(?:me|nos)\b",
)
#: A number offered to be used: only together with a number in the same sentence.
CALL_WITH_NUMBER = _any(
    r"\b(?:reach|contact|get|catch|get hold of) (?:me|us) (?:at|on|under|via|by)\b",
    r"\b(?:my|our|the best|best) (?:\w+ )?(?:number|phone|cell\w*|mobile|line|digits)\b",
    rf"\b{_CALL}\b",
)
NOT_CALL = _any(
    rf"\b(?:don't|do not|no need to|never|rather than|instead of|not|without|can't|cannot|can not|won't|stop) (?:to"
    rf" )?{_CALL}(?:ing)?\b",
    rf"\bdid (?:you|someone|somebody|anyone|they) (?:just |try to )?{_CALL}\b",
    rf"\b(?:if|before|when|after|why|who) (?:you|they|someone) (?:just )?{_CALL} (?:me|us)\b",
    rf"\b(?:people|they|clients|customers|friends|folks|everyone|everybody|you can|you may|just) {_CALL} us? ?(?:a"
    rf"|an|the)\b",
    r"\b(?:wrong|stop calling)\b",
)

#: Someone is to write again; together with a later day in the same sentence.
DEFER_WISH = _any(
    r"\breach (?:back )?out(?: again| to (?:me|us))?\b",
    r"\bcheck (?:back|in)\b",
    r"\bcircle back\b",
    r"\bcome back to (?:me|us)\b",
    r"\bget back to (?:me|us)\b(?! with| on| about)", r"\bfollow[- ]?up\b", r"\btouch base\b", r"\bping (?:me|us)\b",
    r"\btry (?:me |us )?(?:again|later|back)\b", r"\b(?:contact|write|message|e-?mail|text|remind) (?:to )?(?:me|us)\b",
    r"\b(?:reconnect|revisit)\b",
    r"\b(?:talk|speak|ask)(?: to (?:me|us))? again\b",
    r"\blet'?s (?:talk|speak|reconnect|revisit|pick this up)\b",
    r"\bmelden sie sich\b", r"\brecontactez[- ](?:moi|nous)\b",
)  # fmt: skip
#: This is not the time; together with a later day anywhere in the message.
NOT_NOW = _any(
    r"\bnot (?:right )?now\b|\bnot (?:a good|the right|the best) (?:time|moment)\b|\bbad tim(?:e|ing)\b",
    r"\btoo (?:busy|early|soon)\b|\bno (?:budget|capacity|bandwidth|time)\b|\bmaybe (?:next|in|later)\b|\bon hold\b",
)
#: Who writes "I will get back to you" will, and asks for nothing.
NOT_DEFER = _any(
    r"\b(?:i|we)(?:'ll| will| can| shall|'d| would|'m going to| am going to) (?:reach|check|circle|come|get|follow"
    r"|touch|ping|contact|write)\b"
)

_DAY = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|tomorrow|today|tonight|this (?:week|afternoon|morning|evening)"
    r"|next week"
    r"|(?:jan|febr)uary|march|april|june|july|august|(?:septem|octo|novem|decem)ber|(?:the )?\d{1,2}(?:st|nd|rd|th)"
)
_TIME = (
    r"\d{1,2}(?::\d{2})? ?(?:am|pm|a\.m\.|p\.m\.|o'clock|h\b|uhr)|\d{1,2}:\d{2}|noon|midday"
    r"|(?:at|around|after|before) \d{1,2}\b"
)
TIME = re.compile(rf"(?<!\w)(?:{_TIME})")
WHEN = re.compile(rf"\b(?:{_DAY})\b|(?<!\w)(?:{_TIME})")
_MEETING = (
    r"(?:short |quick |brief |\d+[- ]?min\w* |intro\w* |follow-?up |first |new |another )*(?:call|chat|meeting|demo"
    r"|appointment|visit|slot"
    r"|session|consultation|viewing|tour|conversation|time|zoom)"
)
SCHEDULING = _any(
    r"\b(?:are|is|will|would) (?:you|he|she|anyone|someone|somebody) (?:be )?(?:free(?! of| to)|available|around)\b",
    r"\bdo you (?:still )?have (?:any )?(?:time|availability|openings?|slots?|a (?:slot|minute|moment|few minutes))\b",
    r"\b(?:what|which) (?:times?|days?|dates?|slots?|hours)\b",
    r"\bwhen (?:would suit|suits)\b|\bwhen (?:are|is|can|could|would|do|shall|should|works|suits|might|will) (?:you"
    r"|we|i|it|would|best|your team"
    r"|someone)\b",
    r"\b(?:can|could|shall|should|might|may) (?:we|i|you and i) (?:please |just |maybe )?(?:meet|talk|speak|chat"
    r"|catch up|schedule|book|arrange"
    r"|set up|reschedule|hop on|jump on|get on|have an? (?:call|chat|meeting|demo)|move|postpone)\b",
    r"\b(?:let's|let us|i'd like to|we'd like to|i would like to|we would like to|i want to|we want to|i'd love to"
    r"|we'd love to|happy to"
    r"|glad to|i need to|we need to) (?:meet|schedule|book|arrange|set up|reschedule|hop on|jump on|get on|have an?"
    r" (?:call|chat|meeting|demo))\b",
    rf"\b(?:schedule|book|arrange|set up|reschedule|plan|organi[sz]e|confirm|move|postpone|cancel) (?:an?|the|our|my"
    rf"|some|me for|us for) {_MEETING}\b",
    r"\b(?:send|share|give) (?:me|us) (?:a |the |your |some )?(?:calendar|calendly|booking|scheduling|times|slots"
    r"|availability)\b",
)
#: Only together with a day or a time in the same sentence.
SCHEDULING_WHEN = _any(
    r"\b(?:works?|suits?|is (?:fine|good|ok|okay|perfect|great|possible|still free|free)|would (?:work|suit|be"
    r" (?:fine|good|great|perfect))|sounds good"
    r"|still (?:free|open|available))\b",
    r"\b(?:how|what) about\b", r"\bsee you\b", r"\b(?:free|available)\b", rf"\b{_MEETING}\b",
    r"\b(?:meet|talk|speak|chat|connect|book|schedule|come by|drop by)\b", r"^(?:yes|yep|sure|ok|okay|perfect|great)\b",
)  # fmt: skip
#: Only when slots were offered.
SCHEDULING_OFFERED = _any(
    r"\b(?:first|second|third|last|1st|2nd|3rd|earlier|later|either|any|other|both) (?:one|slot|time|option|of"
    r" (?:them|those|these))\b",
    r"\b(?:i'll|i will|we'll|let me) take\b", r"\b(?:works|work) for (?:me|us)\b", r"\bnone of (?:them|those|these)\b",
)  # fmt: skip
