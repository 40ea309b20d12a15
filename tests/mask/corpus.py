"""Precision and recall of masking on a corpus that a package makes (`faker`, in many languages), and on a held-out one.

Writes each corpus to a file of its own, hands them to the Rust test that measures, and counts that test's checks. The
numbers come from other people's generators: what they get wrong shows up here as ours.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import held_out
from faker import Faker

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261_121
EACH = 120

# The locale, faker's method, the class, and the name that stands beside the value.
PEOPLE = [
    ("en_US", "ssn", "ssn"), ("en_US", "itin", "tax_id"), ("en_GB", "ssn", "national insurance"),
    ("es_ES", "nif", "dni"), ("es_ES", "nie", "nie"), ("it_IT", "ssn", "codice_fiscale"),
    ("fr_FR", "ssn", "nir"), ("pl_PL", "pesel", "pesel"), ("nl_NL", "ssn", "bsn"), ("sv_SE", "ssn", "personnummer"),
    ("pt_BR", "cpf", "cpf"), ("en_IN", "aadhaar_id", "aadhaar"), ("no_NO", "ssn", "fodselsnummer"),
    ("fi_FI", "ssn", "hetu"), ("et_EE", "ssn", "isikukood"), ("cs_CZ", "birth_number", "rodne_cislo"),
    ("ro_RO", "ssn", "cnp"), ("zh_CN", "ssn", "id_number"), ("ko_KR", "ssn", "rrn"), ("tr_TR", "ssn", "tckn"),
    ("hr_HR", "ssn", "oib"), ("bg_BG", "ssn", "egn"), ("nl_BE", "ssn", "rijksregister"), ("de_CH", "ssn", "ahv"),
    ("en_CA", "ssn", "sin"), ("es_CL", "person_rut", "rut"), ("lt_LT", "ssn", "asmens_kodas"), ("en_IN", "pan", "pan"),
    ("es_MX", "curp", "curp"), ("dk_DK", "ssn", "cpr"), ("da_DK", "ssn", "cpr"), ("zh_TW", "ssn", "id_number"),
    ("he_IL", "ssn", "teudat_zehut"), ("de_AT", "ssn", "svnr"), ("pt_PT", "nif", "nif"), ("en_IE", "pps", "pps"),
]
PHONES = [
    "en_US", "en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "pt_BR", "nl_NL", "pl_PL", "sv_SE", "ja_JP", "en_AU", "en_IN",
    "de_CH", "de_AT", "tr_TR", "cs_CZ", "da_DK", "no_NO", "fi_FI", "ko_KR", "zh_CN",
]
IBANS = ["de_DE", "en_GB", "fr_FR", "it_IT", "es_ES", "nl_NL", "pl_PL", "de_CH", "de_AT", "fi_FI", "no_NO", "pt_PT", "tr_TR"]
MAILS = ["en_US", "de_DE", "fr_FR", "ja_JP", "pl_PL", "pt_BR"]
CONTEXTS = [
    lambda k, v: json.dumps({"id": 7, k: v, "ok": True}),
    lambda k, v: json.dumps({"customer": {k: v}, "items": [1, 2]}, indent=1),
    lambda k, v: f"UPDATE customers SET {k.replace(' ', '_')} = '{v}' WHERE id = 4711;",
    lambda k, v: f"2026-11-21T04:49:48Z INFO crm: {k}={v} saved in 12 ms",
    lambda k, v: f"customer:\n  {k}: {v}\n  active: true\n",
    lambda k, v: f"id,{k},state\n4711,{v},open\n",
    lambda k, v: f"Please update the record, the {k} is {v}, thank you.",
]


def samples(fake, rng):
    def one(kind, name, value, detail):
        context = rng.choice(CONTEXTS)
        text = context(name, value)
        shown = value if value in text else json.dumps(value)[1:-1]
        if shown in text:
            yield {"text": text, "value": shown, "class": kind, "detail": detail}

    for locale, method, name in PEOPLE:
        try:
            source = fake[locale]
            getattr(source, method)
        except (AttributeError, KeyError):
            continue
        for _ in range(EACH // 4):
            yield from one("national-id", name, str(getattr(source, method)()), f"{locale} {method}")
    for locale in PHONES:
        for _ in range(EACH // 4):
            yield from one("phone", "phone", fake[locale].phone_number(), locale)
    for locale in IBANS:
        for _ in range(EACH // 4):
            yield from one("iban", "account", fake[locale].iban(), locale)
    for locale in MAILS:
        for _ in range(EACH // 2):
            yield from one("email", "contact", fake[locale].email(), locale)
    english = fake["en_US"]
    for kind in ["visa", "visa13", "visa16", "visa19", "mastercard", "amex", "discover", "diners", "jcb", "jcb15", "jcb16", "maestro"]:
        for _ in range(EACH // 4):
            yield from one("card", "number", english.credit_card_number(kind), kind)
    for _ in range(EACH * 4):
        yield from one("secret", rng.choice(["password", "db_password", "client_secret"]), english.password(length=rng.randint(8, 20), special_chars=False), "password")


def negatives(fake, rng):
    english = fake["en_US"]
    plain = [
        lambda: english.text(300), lambda: english.uuid4(), lambda: english.sha256(), lambda: english.md5(),
        lambda: english.isbn13(), lambda: english.ean13(), lambda: english.iso8601(), lambda: english.mac_address(),
        lambda: english.uri(), lambda: english.file_path(depth=3), lambda: english.user_agent(), lambda: english.hex_color(),
        lambda: str(english.unix_time()), lambda: english.bothify("ORD-########"), lambda: english.bothify("??##??-####"),
        lambda: english.address().replace("\n", ", "), lambda: english.company(), lambda: english.license_plate(),
        lambda: english.numerify("%#########"), lambda: english.numerify("%##############"), lambda: english.ipv4(),
        lambda: english.pricetag(), lambda: english.localized_ean13(), lambda: english.job(), lambda: english.bban(),
    ]
    for make in plain:
        for _ in range(EACH):
            context = rng.choice(CONTEXTS)
            yield {"text": context("reference", make()), "value": "", "class": "", "detail": ""}


def main():
    locales = sorted({locale for locale, *_ in PEOPLE} | set(PHONES) | set(IBANS) | set(MAILS))
    known = []
    for locale in locales:
        try:
            Faker(locale)
            known.append(locale)
        except AttributeError:
            pass
    fake = Faker(known)
    Faker.seed(SEED)
    rng = random.Random(SEED)
    lines = [*samples(fake, rng), *negatives(fake, rng)]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        corpus.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        unseen = Path(folder) / "held_out.jsonl"
        unseen.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in held_out.lines()), encoding="utf-8")
        command = ["cargo", "test", "--package", "mask", "--test", "corpus", "--", "--nocapture", "--test-threads=1"]
        run = subprocess.run(command, cwd=ROOT, env={**os.environ, "COUNTERSIGN_MASK_CORPUS": str(corpus),
                                                             "COUNTERSIGN_MASK_HELD_OUT": str(unseen)},
                             stdout=subprocess.PIPE, text=True, check=False)
    print(run.stdout)
    counts = re.findall(r"test result: \w+\. (\d+) passed; (\d+) failed", run.stdout)
    passed, failed = sum(int(p) for p, _ in counts), sum(int(f) for _, f in counts)
    if run.returncode and not failed:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
