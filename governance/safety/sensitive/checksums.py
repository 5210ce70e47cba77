"""Check digits of card, account and identity numbers; each takes the number without its separators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date

# The lengths of IBANs by country (SWIFT, IBAN Registry, release 99).
_IBAN_LENGTHS = {
    "NO": 15, "BE": 16, "DK": 18, "FI": 18, "FK": 18, "FO": 18, "GL": 18, "NL": 18, "SD": 18, "MK": 19, "SI": 19,
    "AT": 20, "BA": 20, "EE": 20, "KZ": 20, "LT": 20, "LU": 20, "MN": 20, "XK": 20, "CH": 21, "HR": 21, "LI": 21,
    "LV": 21, "BG": 22, "BH": 22, "CR": 22, "DE": 22, "GB": 22, "GE": 22, "IE": 22, "ME": 22, "RS": 22, "VA": 22,
    "AE": 23, "GI": 23, "IL": 23, "IQ": 23, "OM": 23, "SM": 23, "SO": 23, "TL": 23, "AD": 24, "CZ": 24, "ES": 24,
    "MD": 24, "PK": 24, "RO": 24, "SA": 24, "SE": 24, "SK": 24, "TN": 24, "VG": 24, "LY": 25, "PT": 25, "ST": 25,
    "IS": 26, "TR": 26, "BI": 27, "DJ": 27, "FR": 27, "GR": 27, "IT": 27, "MC": 27, "MR": 27, "AL": 28, "AZ": 28,
    "BY": 28, "CY": 28, "DO": 28, "GT": 28, "HN": 28, "HU": 28, "LB": 28, "NI": 28, "PL": 28, "SV": 28, "BR": 29,
    "EG": 29, "PS": 29, "QA": 29, "UA": 29, "JO": 30, "KW": 30, "MU": 30, "YE": 30, "MT": 31, "SC": 31, "LC": 32,
    "RU": 33,
}  # fmt: skip

# Verhoeff, "Error Detecting Decimal Codes" (1969): the dihedral group D5 and a permutation of order 8.
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip

# What the signs 0 to 9 and A to Z count at odd places (Decreto ministeriale 345/1976).
_ODD_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_ODD_LETTERS = (*_ODD_DIGITS, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2]]
    return (sum(doubled) + sum(map(int, number[::-2]))) % 10 == 0


def iban(number: str) -> bool:
    """ISO 13616: the country's length, and a remainder of 1 modulo 97 (ISO 7064)."""
    if _IBAN_LENGTHS.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def verhoeff(number: str) -> bool:
    """India's Aadhaar: no number begins with 0 or 1, nor reads the same backwards."""
    check = "0"
    for place, digit in enumerate(reversed(number)):
        check = _DIHEDRAL[int(check)][int(_PERMUTED[place % 8][int(digit)])]
    return check == "0" and number[0] not in "01" and number != number[::-1]


def social_security(number: str) -> bool:
    """United States: areas 000, 666 and 9xx, group 00 and serial 0000 are never issued."""
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def national_insurance(number: str) -> bool:
    """United Kingdom: prefixes that are never issued."""
    return number[:2].upper() not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def health_service(number: str) -> bool:
    """United Kingdom, NHS number: modulo 11."""
    check = 11 - _weighed(number[:9], range(10, 1, -1)) % 11
    return check % 11 == int(number[9]) and check != 10 and len(set(number)) > 1


def steuer_id(number: str) -> bool:
    """Germany: one digit of the first ten stands there twice or thrice, and ISO 7064 modulo 11,10 holds."""
    repeated = [count for count in Counter(number[:10]).values() if count > 1]
    if number[0] == "0" or len(repeated) != 1 or repeated[0] > 3:
        return False
    product = 10
    for digit in number[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(number[10])


def nir(number: str) -> bool:
    """France: 97 less the number modulo 97; the departments of Corsica count as 19 and 18."""
    digits = number.upper().replace("2A", "19", 1).replace("2B", "18", 1) if number[5:7].isalnum() else number
    return digits.isdigit() and int(digits[13:]) == 97 - int(digits[:13]) % 97


def dni(number: str) -> bool:
    """Spain, DNI and NIE: a letter for the remainder modulo 23; X, Y and Z stand for 0, 1 and 2."""
    digits = number[:-1].upper().translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[-1].upper()


def codice_fiscale(number: str) -> bool:
    """Italy: a letter for the sum of tabulated values at odd places and plain ones at even places, modulo 26."""
    signs = number.upper()
    odd = sum((*_ODD_DIGITS, *_ODD_LETTERS)[int(sign, 36)] for sign in signs[0:15:2])
    even = sum(int(sign) if sign.isdigit() else ord(sign) - ord("A") for sign in signs[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == signs[15]


def burgerservicenummer(number: str) -> bool:
    """Netherlands: the test of eleven, the last weight negative."""
    return number.strip("0") != "" and _weighed(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pesel(number: str) -> bool:
    """Poland: a date of birth whose month tells the century, and a weighed sum."""
    century, month = divmod(int(number[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(number[:2])
    return _is_date(year, month, int(number[4:6])) and _weighed(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def cpf(number: str) -> bool:
    """Brazil: two check digits modulo 11."""

    def check(digits: str) -> int:
        return _weighed(digits, range(len(digits) + 1, 1, -1)) * 10 % 11 % 10

    return len(set(number)) > 1 and check(number[:9]) == int(number[9]) and check(number[:10]) == int(number[10])


def tax_file_number(number: str) -> bool:
    """Australia: weighed sum modulo 11."""
    return len(set(number)) > 1 and _weighed(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def social_insurance(number: str) -> bool:
    """Canada: Luhn; no number begins with 0 or 8."""
    return number[0] not in "08" and luhn(number)


def ahv(number: str) -> bool:
    """Switzerland: the check digit of EAN-13."""
    return _weighed(number, (1, 3) * 6 + (1,)) % 10 == 0


def rijksregister(number: str) -> bool:
    """Belgium: 97 less the first nine digits modulo 97, with a 2 before them for people born from 2000 on."""
    first, check = number[:9], int(number[9:])
    return check in (97 - int(first) % 97, 97 - int("2" + first) % 97)


def personnummer(number: str) -> bool:
    """Sweden: Luhn over ten digits, of which six are a date (a coordination number adds 60 to its day)."""
    return _is_date(2000 + int(number[:2]), int(number[2:4]), int(number[4:6]) % 60) and luhn(number)


def henkilotunnus(number: str) -> bool:
    """Finland: a sign for the remainder of its nine digits modulo 31; the seventh character is the century's."""
    digits = number[:6] + number[7:10]
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == number[10].upper()


def resident_identity(number: str) -> bool:
    """China: a date of birth, and ISO 7064 modulo 11,2 (GB 11643-1999)."""
    born = _is_date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    remainder = _weighed(number[:17], [2**power % 11 for power in range(17, 0, -1)]) % 11
    return born and "10X98765432"[remainder] == number[17].upper()


def itin(number: str) -> bool:
    """United States, taxpayers without a social security number: 9, and a group of those that are issued."""
    group = int(number[3:5])
    return 50 <= group <= 99 and group not in (66, 67, 68, 69, 89, 93)


def permanent_account(number: str) -> bool:
    """India, PAN: capitals, of which the fourth tells the kind of holder."""
    return number.isupper() and number[3] in "ABCFGHJLPT"


def fodselsnummer(number: str) -> bool:
    """Norway: a date (a D-number adds 40 to its day), and two check digits modulo 11."""
    first = _weighed(number[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _weighed(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == second == 0 and _is_date(2000, int(number[2:4]), int(number[:2]) % 40)


def cpr(number: str) -> bool:
    """Denmark: a date; numbers given since 2007 have no check digit."""
    return _is_date(2000, int(number[2:4]), int(number[:2]))


def rodne_cislo(number: str) -> bool:
    """Czechia and Slovakia: a date (women add 50 to their month), divisible by 11."""
    return int(number) % 11 == 0 and _is_date(2000, int(number[2:4]) % 50, int(number[4:6]))


def cnp(number: str) -> bool:
    """Romania: a date of birth, and a weighed sum modulo 11, of which 10 counts as 1."""
    check = _weighed(number[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return _is_date(2000, int(number[3:5]), int(number[5:7])) and (1 if check == 10 else check) == int(number[12])


def kimlik(number: str) -> bool:
    """Türkiye: two check digits modulo 10."""
    digits = [int(digit) for digit in number]
    first = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return digits[0] != 0 and (first, sum(digits[:10]) % 10) == (digits[9], digits[10])


def nif(number: str) -> bool:
    """Portugal: modulo 11; remainders of 0 and 1 give 0."""
    check = 11 - _weighed(number[:8], range(9, 1, -1)) % 11
    return (0 if check > 9 else check) == int(number[8])


def personal_public_service(number: str) -> bool:
    """Ireland: a letter for a weighed sum modulo 23, in which a second letter counts nine times."""
    letters = "WABCDEFGHIJKLMNOPQRSTUV"
    second = letters.index(number[8].upper()) if len(number) > 8 else 0
    return letters[(_weighed(number[:7], range(8, 1, -1)) + 9 * second) % 23] == number[7].upper()


def sozialversicherung(number: str) -> bool:
    """Austria: a weighed sum modulo 11 in the fourth digit, and a date of birth (a month may be 13 to 15)."""
    born = 1 <= int(number[4:6]) <= 31 and 1 <= int(number[6:8]) <= 15
    return born and _weighed(number, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(number[3])


def dated_luhn(number: str) -> bool:
    """South Africa and Greece: Luhn over a number that begins with a date, year or day first."""
    month = int(number[2:4])
    days = int(number[4:6] if len(number) == 13 else number[:2])
    return _is_date(2000, month, days) and luhn(number)


def my_number(number: str) -> bool:
    """Japan: modulo 11; remainders of 0 and 1 give 0."""
    remainder = _weighed(number[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if remainder < 2 else 11 - remainder) == int(number[11])


def resident_registration(number: str) -> bool:
    """South Korea: a date; numbers given since October 2020 have no check digit."""
    return _is_date(2000, int(number[2:4]), int(number[4:6]))


def nric(number: str) -> bool:
    """Singapore: a letter for a weighed sum modulo 11, by the century's letter in front."""
    kind = number[0].upper()
    weighed = _weighed(number[1:8], (2, 7, 6, 5, 4, 3, 2)) + (4 if kind in "TG" else 3 if kind == "M" else 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}
    return letters[kind][weighed % 11] == number[8].upper()


def curp(number: str) -> bool:
    """Mexico: a date of birth, and a weighed sum modulo 10 of signs in an alphabet with Ñ."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    values = map(alphabet.index, number[:17].upper())
    check = -sum(value * weight for value, weight in zip(values, range(18, 1, -1), strict=True)) % 10
    return _is_date(2000, int(number[6:8]), int(number[8:10])) and check == int(number[17])


def snils(number: str) -> bool:
    """Russia: a weighed sum modulo 101, of which 100 counts as 0."""
    return _weighed(number[:9], range(9, 0, -1)) % 101 % 100 == int(number[9:])


def _weighed(digits: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
