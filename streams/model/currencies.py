"""The currencies of ISO 4217 with their decimal places. Pure.

Source: list one of ISO 4217 (SIX Financial Information, the maintenance agency), active codes of 2025, without those
that lack minor units (precious metals, bond units, XDR, XTS, XXX); ANG and BGN are kept while their successors are new.
"""

from __future__ import annotations

from difflib import get_close_matches

_PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
        "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
        "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT "
        "MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR "
        "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU "
        "UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: dict[str, int] = {code: places for places, codes in _PLACES.items() for code in codes.split()}
"""# <code: decimal places>; money / 10^exponent = major units"""

_NAMES = {
    **dict.fromkeys(("RMB", "YUAN", "CNH", "元", "¥", "￥"), "CNY"),
    **dict.fromkeys(("EURO", "EUROS", "€"), "EUR"),
    **dict.fromkeys(("DOLLAR", "DOLLARS", "US$", "$", "BUCKS"), "USD"),
    **dict.fromkeys(("POUND", "POUNDS", "STERLING", "£", "UKP"), "GBP"),
    **dict.fromkeys(("YEN", "円"), "JPY"),
    **dict.fromkeys(("NTD", "NT$"), "TWD"),
    "WON": "KRW",
    "RUPEE": "INR",
    "HRK": "EUR",
    "BYR": "BYN",
    "SLL": "SLE",
    "ZWL": "ZWG",
}
"""# <common names and replaced codes: code>"""


def near_misses(text: str) -> list[str]:
    """Codes that an invalid text may stand for, the likeliest first."""
    code = text.strip().upper()
    if code in EXPONENTS:
        return [code]
    if code in _NAMES:
        return [_NAMES[code]]
    return get_close_matches(code, EXPONENTS, n=3, cutoff=0.6) if len(code) <= 4 else []
