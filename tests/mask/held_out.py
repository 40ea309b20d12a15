"""What the masking was not tuned on: three sources that its authors did not look at while they wrote the detectors.

- `presidio-evaluator`: its templates of sentences, filled with `faker` in locales and from a seed that `corpus.py` has not.
- `presidio-evaluator`: the e-mail addresses and telephone numbers of its table of made-up people.
- `detect-secrets`: strings made by `exrex` from the forms that its plugins look for.

Nothing here may be used to mend a detector: what is mended by it is held out no more. The Rust test prints the table that
`docs/masking.md` publishes, and fails where a figure falls.
"""

import csv
import importlib
import importlib.metadata
import json
import random
import re

import exrex
from faker import Faker

SEED = 77_031_415
# None of these is among the locales of `corpus.py`.
LOCALES = ["en_NZ", "fr_CA", "es_AR", "es_CO", "uk_UA", "hu_HU", "el_GR", "sk_SK", "sl_SI", "lv_LV", "fr_CH", "id_ID"]
IBAN_LOCALES = ["hu_HU", "el_GR", "sk_SK", "fr_CH", "uk_UA"]
EACH = 6
# Of `detect-secrets`: what has a form of its own. Others look at entropy, at names, or at URLs.
FORMS = {
    "artifactory": "secret", "aws": "api-key", "azure_storage_key": "connection", "discord": "token", "github_token": "token",
    "gitlab_token": "token", "mailchimp": "api-key", "openai": "api-key", "pypi_token": "token", "sendgrid": "api-key",
    "slack": "token", "square_oauth": "token", "stripe": "api-key", "telegram_token": "token", "twilio": "api-key",
}
FRAMES = ["export KEY={}", "the key is {} and nothing else", '{{"value": "{}"}}', "curl -H 'X-Key: {}' https://api.example/v1", "{}"]
FIELD = re.compile(r"\{\{(\w+)\}\}")


def data(name):
    files = importlib.metadata.files("presidio-evaluator") or []
    found = [file for file in files if str(file).endswith(f"raw_data/{name}")]
    return found[0].locate().read_text(encoding="utf-8", errors="replace")


def values(fake, english, iban, rng):
    """What a template's field is filled with, and its class where it is to be masked."""
    return {
        "credit_card_number": (lambda: english.credit_card_number(rng.choice(["visa16", "mastercard", "amex", "discover", "diners"])), "card"),
        "iban": (lambda: iban.iban(), "iban"),
        "phone_number": (lambda: fake.phone_number(), "phone"),
        "email": (lambda: fake.email(), "email"),
        "ssn": (lambda: english.ssn(), "national-id"),
        "ip_address": (lambda: english.ipv4(), None),
        "url": (lambda: english.url(), None),
        "address": (lambda: fake.address().replace("\n", ", "), None),
        "zipcode": (lambda: english.zipcode(), None),
        "postcode": (lambda: english.postcode(), None),
        "date_time": (lambda: str(english.date_time()), None),
        "date_of_birth": (lambda: str(english.date_of_birth()), None),
        "year": (lambda: english.year(), None),
        "age": (lambda: str(rng.randint(18, 90)), None),
        "building_number": (lambda: english.building_number(), None),
        "us_driver_license": (lambda: english.bothify("?#######"), None),
    }


def sentences(rng):
    templates = [line for line in data("templates.txt").splitlines() if line.strip()]
    english = Faker("en_US")
    fakes = {locale: Faker(locale) for locale in {*LOCALES, *IBAN_LOCALES}}
    for _ in range(EACH):
        for template in templates:
            locale = rng.choice(LOCALES)
            fills = values(fakes[locale], english, fakes[rng.choice(IBAN_LOCALES)], rng)
            truths = []

            def fill(match, fills=fills, truths=truths):
                make, kind = fills.get(match.group(1), (lambda: english.name(), None))
                value = make()
                if kind:
                    truths.append((value, kind))
                return value

            text = FIELD.sub(fill, template)
            # One value a text, since the measure asks whose finding each is: the others are taken out.
            if not truths:
                yield {"text": text, "value": "", "class": "", "detail": ""}
            elif len(truths) == 1 and text.count(truths[0][0]) == 1:
                yield {"text": text, "value": truths[0][0], "class": truths[0][1], "detail": f"sentence {locale}"}


def people(rng):
    rows = list(csv.DictReader(data("FakeNameGenerator.com_3000.csv").lstrip("\ufeff").splitlines()))
    for row in rng.sample(rows, 600):
        mail = row["EmailAddress"]
        yield {"text": f"{row['GivenName']} {row['Surname']} <{mail}> wrote", "value": mail, "class": "email", "detail": "people"}
        phone = f"+{row['TelephoneCountryCode']} {row['TelephoneNumber'].lstrip('0')}"
        if len(re.sub(r"\D", "", phone)) >= 9:
            yield {"text": f"call {phone} before noon", "value": phone, "class": "phone", "detail": f"people {row['Country']}"}


def secrets(rng):
    for name, kind in FORMS.items():
        module = importlib.import_module(f"detect_secrets.plugins.{name}")
        plugins = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
        forms = [form for plugin in plugins for form in vars(plugin).get("denylist", ())]
        for form in forms:
            if form.pattern.startswith("aws"):
                continue  # what stands around the secret is of any kind
            pattern = re.sub(r"\(\?[!<=][^)]*\)", "", form.pattern)
            for _ in range(20):
                try:
                    value = exrex.getone(pattern, limit=40).strip()
                except Exception:  # a form that the maker of strings does not know
                    break
                if not form.search(value) or not value.isprintable() or '"' in value or "\\" in value:
                    continue
                text = rng.choice(FRAMES).format(value)
                # The name of a setting is no secret.
                value = value.removeprefix("AccountKey=").lstrip(":=")
                yield {"text": text, "value": value, "class": kind, "detail": f"detect-secrets {name}"}


def lines():
    rng = random.Random(SEED)
    Faker.seed(SEED)
    random.seed(SEED)
    return [*sentences(rng), *people(rng), *secrets(rng)]


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line, ensure_ascii=False))
