"""What the validator says to a rider: one sentence in Chinese and English for everything.

Sentences are for people who are boarding: short, what to do next, no blame and no term of the
trade. English keeps to printable ASCII, and no word is longer than 11 letters: the small display
has so many columns beside the icon.
"""

RESULTS = {
    "": ("请上车", "Welcome aboard"),
    "unverified": ("暂不能使用，请换一种方式", "Not accepted yet. Please pay another way"),
    "bad_signature": ("无法识别，请换一种方式", "Not valid. Please pay another way"),
    "expired": ("已过期，请更新", "Expired. Please renew"),
    "not_yet_valid": ("尚未生效", "Not valid yet"),
    "unknown_issuer": ("本车暂不支持此卡", "This issuer is not accepted here"),
    "deny_listed": ("此卡已停用，请联系发卡方", "Blocked. Please ask your card issuer"),
    "insufficient_balance": ("余额不足，请充值", "Low balance. Please top up"),
    "over_limit": ("超出限额", "Fare is over your limit"),
    "replayed": ("此码已使用，请刷新", "Already used. Please refresh"),
    "too_soon": ("已刷过，请勿重复", "Already paid. Do not tap again"),
    "multiple_media": ("请只出示一张卡", "One card at a time please"),
    "card_lost": ("请重新刷卡，不要移动", "Tap again and hold still"),
    "unsupported": ("不支持此卡或二维码", "This card or code is not supported"),
    "clock_untrusted": ("设备校时中，请稍候", "Clock not set. Please pay another way"),
    "storage_full": ("设备已满，请换一台", "Out of storage. Use another validator"),
    "out_of_service": ("暂停服务", "Out of service"),
    "needs_online": ("需要联网，请换一种方式", "Needs a network. Please pay another way"),
    "card_refused": ("发卡方拒绝，请换一种方式", "Card refused. Please pay another way"),
    "unsettled": ("上次付款未结清，请到服务台", "Open payment. Please go to the desk"),
    "malformed": ("无法读取，请重试", "Cannot read this. Please try again"),
}

STATES = {
    "ready": ("请刷卡/扫码", "Tap or scan"),
    "starting": ("正在启动", "Starting"),
    "out_of_service": ("暂停服务", "Out of service"),
}

_FALLBACK = ("请重试", "Please try again")

_own = {}  # the operator's sentences, by result ("accepted" for "") or state
_english_first = []


def configure(display):
    """The configuration's section "display": {"language": "zh" or "en", "texts": {name: {"zh",
    "en"}}}, a sentence for each name of a result or state, "accepted" among them."""
    _own.clear()
    for name, words in display.get("texts", {}).items():
        _own[name] = (words["zh"], words["en"])
    _english_first[:] = (True,) if display.get("language") == "en" else ()


def _ordered(pair):
    return (pair[1], pair[0]) if _english_first else pair


def result(reason):
    """(Chinese, English) for a result's reason, "" being an accepted one; the other way round
    where the operator says so. Never raises."""
    own = _own.get(reason or "accepted")
    return _ordered(own or RESULTS.get(reason, _FALLBACK))


def state(name):
    """The same for a state of the validator; KeyError if there is none."""
    return _ordered(_own.get(name) or STATES[name])


def money(fen):
    """Fen as yuan: 200 is "2.00"."""
    sign = "-" if fen < 0 else ""
    fen = abs(fen)
    return "%s%d.%02d" % (sign, fen // 100, fen % 100)


def amounts(fare, balance):
    """(Chinese, English) line on fare and balance, each in fen or None; ("", "") if neither."""
    zh = []
    en = []
    if fare is not None:
        zh.append("票价 " + money(fare))
        en.append("Fare " + money(fare))
    if balance is not None:
        zh.append("余额 " + money(balance))
        en.append("Left " + money(balance))
    return _ordered((" ".join(zh), " ".join(en)))
