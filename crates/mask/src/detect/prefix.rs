//! Keys and tokens that their issuers made to be found: a fixed beginning, an alphabet, a length.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::url;
use crate::bytes::{alnum, at, before, part, run, run_back, tail};
use crate::class::{Class, Finding};

/// How a form is read behind its beginning.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// So many bytes of an alphabet, at least and at most.
    Run(Alphabet, usize, usize),
    /// `-----BEGIN`, a private key's name, and everything until its end.
    Pem,
    /// Everything until the line's end: the first line names a key file whose rest is secret as well.
    File,
    /// Three parts of base64url with dots between (RFC 7519).
    Jwt,
    /// `://`, with a name and a password before the host (RFC 3986, section 3.2.1).
    Url,
    /// `.atlasv1.`, with the token's first part before it.
    Atlas,
    /// `Q~`, with three to five characters before it.
    Entra,
    /// `:A`, with a bot's number before it.
    Telegram,
    /// `T3BlbkFJ`, which is `OpenAI` in base64, with `sk-` and a random part before it, and one behind it.
    OpenAi,
    /// The rest of a URL's path.
    Path,
}

#[derive(Debug, Clone, Copy)]
enum Alphabet {
    Hex,
    Alnum,
    Upper,
    Base32,
    Base64,
    Url,
    Dotted,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            Self::Alnum => alnum(byte),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Base32 => byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte),
            Self::Base64 => alnum(byte) || matches!(byte, b'+' | b'/' | b'='),
            Self::Url => alnum(byte) || matches!(byte, b'-' | b'_'),
            Self::Dotted => alnum(byte) || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'~'),
        }
    }
}

use Alphabet::{Alnum, Base32, Base64, Dotted, Hex, Upper, Url};
use Form::Run;

/// Beginning, form, class, detector.
const FORMS: &[(&str, Form, Class, &str)] = &[
    ("-----BEGIN ", Form::Pem, Class::PrivateKey, "pem"),
    ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY", Form::File, Class::PrivateKey, "ssh2"),
    ("PuTTY-User-Key-File-", Form::File, Class::PrivateKey, "putty"),
    ("b3BlbnNzaC1rZXktdjE", Run(Base64, 40, 400), Class::PrivateKey, "openssh"),
    ("AGE-SECRET-KEY-1", Run(Upper, 50, 70), Class::PrivateKey, "age"),
    ("eyJ", Form::Jwt, Class::Token, "jwt"),
    ("://", Form::Url, Class::Connection, "url"),
    ("AKIA", Run(Base32, 16, 16), Class::ApiKey, "aws-access-key"),
    ("ASIA", Run(Base32, 16, 16), Class::ApiKey, "aws-access-key"),
    ("ABIA", Run(Base32, 16, 16), Class::ApiKey, "aws-access-key"),
    ("ACCA", Run(Base32, 16, 16), Class::ApiKey, "aws-access-key"),
    ("AIza", Run(Url, 35, 35), Class::ApiKey, "google-api-key"),
    ("GOCSPX-", Run(Url, 20, 40), Class::ApiKey, "google-client-secret"),
    ("ya29.", Run(Dotted, 20, 300), Class::Token, "google-oauth"),
    ("Q~", Form::Entra, Class::ApiKey, "azure-client-secret"),
    ("ghp_", Run(Alnum, 36, 255), Class::ApiKey, "github"),
    ("gho_", Run(Alnum, 36, 255), Class::ApiKey, "github"),
    ("ghu_", Run(Alnum, 36, 255), Class::ApiKey, "github"),
    ("ghs_", Run(Alnum, 36, 255), Class::ApiKey, "github"),
    ("ghr_", Run(Alnum, 36, 255), Class::ApiKey, "github"),
    ("github_pat_", Run(Url, 40, 255), Class::ApiKey, "github"),
    ("glpat-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("gldt-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glrt-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glptt-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glcbt-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glsoat-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glagent-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("gloas-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("xoxb-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("xoxp-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("xoxa-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("xoxr-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("xoxs-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("xoxe.", Run(Dotted, 20, 400), Class::ApiKey, "slack"),
    ("xoxe-", Run(Url, 20, 400), Class::ApiKey, "slack"),
    ("xapp-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("hooks.slack.com/services/", Form::Path, Class::ApiKey, "slack-webhook"),
    ("hooks.slack.com/workflows/", Form::Path, Class::ApiKey, "slack-webhook"),
    ("discord.com/api/webhooks/", Form::Path, Class::ApiKey, "discord-webhook"),
    ("discordapp.com/api/webhooks/", Form::Path, Class::ApiKey, "discord-webhook"),
    ("webhook.office.com/webhookb2/", Form::Path, Class::ApiKey, "teams-webhook"),
    ("sk_live_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("sk_test_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("rk_live_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("rk_test_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("whsec_", Run(Base64, 24, 128), Class::ApiKey, "webhook-secret"),
    ("sk-", Run(Alnum, 32, 64), Class::ApiKey, "openai"),
    ("sk-proj-", Run(Url, 32, 255), Class::ApiKey, "openai"),
    ("sk-svcacct-", Run(Url, 32, 255), Class::ApiKey, "openai"),
    ("sk-admin-", Run(Url, 32, 255), Class::ApiKey, "openai"),
    ("sk-ant-", Run(Url, 32, 255), Class::ApiKey, "anthropic"),
    ("sk-or-v1-", Run(Hex, 64, 64), Class::ApiKey, "openrouter"),
    ("gsk_", Run(Alnum, 40, 64), Class::ApiKey, "groq"),
    ("xai-", Run(Alnum, 60, 100), Class::ApiKey, "xai"),
    ("pplx-", Run(Alnum, 40, 64), Class::ApiKey, "perplexity"),
    ("hf_", Run(Alnum, 30, 64), Class::ApiKey, "hugging-face"),
    ("r8_", Run(Alnum, 37, 37), Class::ApiKey, "replicate"),
    ("npm_", Run(Alnum, 36, 36), Class::ApiKey, "npm"),
    ("pypi-AgE", Run(Url, 50, 400), Class::ApiKey, "pypi"),
    ("rubygems_", Run(Hex, 48, 48), Class::ApiKey, "rubygems"),
    ("cio", Run(Alnum, 32, 32), Class::ApiKey, "crates-io"),
    ("dckr_pat_", Run(Url, 20, 64), Class::ApiKey, "docker"),
    ("dckr_oat_", Run(Url, 20, 64), Class::ApiKey, "docker"),
    ("oy2", Run(Alnum, 43, 43), Class::ApiKey, "nuget"),
    ("SG.", Run(Dotted, 60, 80), Class::ApiKey, "sendgrid"),
    ("key-", Run(Hex, 32, 32), Class::ApiKey, "mailgun"),
    ("shpat_", Run(Alnum, 32, 32), Class::ApiKey, "shopify"),
    ("shpca_", Run(Alnum, 32, 32), Class::ApiKey, "shopify"),
    ("shppa_", Run(Alnum, 32, 32), Class::ApiKey, "shopify"),
    ("shpss_", Run(Alnum, 32, 32), Class::ApiKey, "shopify"),
    ("sq0atp-", Run(Url, 22, 22), Class::ApiKey, "square"),
    ("sq0csp-", Run(Url, 43, 43), Class::ApiKey, "square"),
    ("dop_v1_", Run(Hex, 64, 64), Class::ApiKey, "digitalocean"),
    ("doo_v1_", Run(Hex, 64, 64), Class::ApiKey, "digitalocean"),
    ("dor_v1_", Run(Hex, 64, 64), Class::ApiKey, "digitalocean"),
    ("lin_api_", Run(Alnum, 32, 64), Class::ApiKey, "linear"),
    ("ntn_", Run(Alnum, 40, 60), Class::ApiKey, "notion"),
    ("secret_", Run(Alnum, 43, 43), Class::ApiKey, "notion"),
    ("ATATT3", Run(Dotted, 50, 300), Class::ApiKey, "atlassian"),
    ("ATBB", Run(Alnum, 32, 32), Class::ApiKey, "bitbucket"),
    ("dapi", Run(Hex, 32, 32), Class::ApiKey, "databricks"),
    ("hvs.", Run(Url, 24, 300), Class::ApiKey, "vault"),
    ("hvb.", Run(Url, 24, 300), Class::ApiKey, "vault"),
    ("hvr.", Run(Url, 24, 300), Class::ApiKey, "vault"),
    (".atlasv1.", Form::Atlas, Class::ApiKey, "terraform"),
    ("dp.pt.", Run(Alnum, 40, 44), Class::ApiKey, "doppler"),
    ("dp.st.", Run(Dotted, 40, 80), Class::ApiKey, "doppler"),
    ("NRAK-", Run(Upper, 27, 27), Class::ApiKey, "new-relic"),
    ("glc_", Run(Base64, 32, 400), Class::ApiKey, "grafana"),
    ("glsa_", Run(Url, 41, 41), Class::ApiKey, "grafana"),
    ("sntrys_", Run(Dotted, 40, 400), Class::ApiKey, "sentry"),
    ("sntryu_", Run(Hex, 64, 64), Class::ApiKey, "sentry"),
    ("phx_", Run(Alnum, 40, 64), Class::ApiKey, "posthog"),
    ("dt0c01.", Run(Dotted, 80, 120), Class::ApiKey, "dynatrace"),
    ("figd_", Run(Url, 40, 64), Class::ApiKey, "figma"),
    ("sbp_", Run(Hex, 40, 40), Class::ApiKey, "supabase"),
    ("pscale_tkn_", Run(Dotted, 32, 64), Class::ApiKey, "planetscale"),
    ("pscale_pw_", Run(Dotted, 32, 64), Class::ApiKey, "planetscale"),
    ("nfp_", Run(Alnum, 36, 40), Class::ApiKey, "netlify"),
    ("fm2_", Run(Base64, 100, 400), Class::ApiKey, "fly"),
    ("tskey-", Run(Url, 24, 80), Class::ApiKey, "tailscale"),
    ("ops_eyJ", Run(Url, 100, 400), Class::ApiKey, "1password"),
    ("LTAI", Run(Alnum, 16, 20), Class::ApiKey, "alibaba"),
    ("AKID", Run(Alnum, 32, 32), Class::ApiKey, "tencent"),
    ("HRKU-", Run(Url, 36, 64), Class::ApiKey, "heroku"),
    ("PMAK-", Run(Url, 59, 59), Class::ApiKey, "postman"),
    ("EAACEdEose0cBA", Run(Alnum, 20, 300), Class::ApiKey, "facebook"),
    ("cntsgn_", Run(Url, 20, 300), Class::Token, "countersign"),
    ("p8e-", Run(Alnum, 32, 32), Class::ApiKey, "adobe"),
    ("AKCp", Run(Alnum, 60, 80), Class::ApiKey, "artifactory"),
    ("cmVmd", Run(Alnum, 59, 59), Class::ApiKey, "artifactory"),
    ("ABSK", Run(Base64, 100, 280), Class::ApiKey, "aws-bedrock"),
    ("bedrock-api-key-", Run(Base64, 20, 400), Class::ApiKey, "aws-bedrock"),
    ("4b1d", Run(Alnum, 38, 38), Class::ApiKey, "clickhouse"),
    ("CLOJARS_", Run(Alnum, 60, 60), Class::ApiKey, "clojars"),
    ("duffel_live_", Run(Url, 40, 48), Class::ApiKey, "duffel"),
    ("duffel_test_", Run(Url, 40, 48), Class::ApiKey, "duffel"),
    ("EZAK", Run(Alnum, 54, 54), Class::ApiKey, "easypost"),
    ("EZTK", Run(Alnum, 54, 54), Class::ApiKey, "easypost"),
    ("EAAC", Run(Alnum, 100, 300), Class::ApiKey, "facebook"),
    ("EAAM", Run(Alnum, 100, 300), Class::ApiKey, "facebook"),
    ("FLWSECK_TEST-", Run(Url, 12, 40), Class::ApiKey, "flutterwave"),
    ("FLWSECK-", Run(Url, 12, 40), Class::ApiKey, "flutterwave"),
    ("fo1_", Run(Url, 43, 43), Class::ApiKey, "fly"),
    ("fm1a_", Run(Base64, 100, 400), Class::ApiKey, "fly"),
    ("fm1r_", Run(Base64, 100, 400), Class::ApiKey, "fly"),
    ("fio-u-", Run(Url, 64, 64), Class::ApiKey, "frame-io"),
    ("glffct-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glft-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("glimt-", Run(Dotted, 20, 300), Class::ApiKey, "gitlab"),
    ("GR1348941", Run(Url, 20, 60), Class::ApiKey, "gitlab"),
    ("api_org_", Run(Alnum, 30, 64), Class::ApiKey, "hugging-face"),
    ("ico-", Run(Alnum, 32, 32), Class::ApiKey, "intra42"),
    ("sha256~", Run(Url, 43, 43), Class::ApiKey, "openshift"),
    ("API-", Run(Upper, 26, 26), Class::ApiKey, "octopus"),
    ("pscale_oauth_", Run(Dotted, 32, 64), Class::ApiKey, "planetscale"),
    ("pnu_", Run(Alnum, 36, 36), Class::ApiKey, "prefect"),
    ("pul-", Run(Hex, 40, 40), Class::ApiKey, "pulumi"),
    ("rdme_", Run(Alnum, 70, 70), Class::ApiKey, "readme"),
    ("tk-us-", Run(Url, 48, 48), Class::ApiKey, "scalingo"),
    ("xkeysib-", Run(Url, 64, 100), Class::ApiKey, "brevo"),
    ("sm_aat_", Run(Alnum, 16, 16), Class::ApiKey, "settlemint"),
    ("sm_pat_", Run(Alnum, 16, 16), Class::ApiKey, "settlemint"),
    ("sm_sat_", Run(Alnum, 16, 16), Class::ApiKey, "settlemint"),
    ("shippo_live_", Run(Hex, 40, 40), Class::ApiKey, "shippo"),
    ("shippo_test_", Run(Hex, 40, 40), Class::ApiKey, "shippo"),
    ("xoxo-", Run(Url, 20, 300), Class::ApiKey, "slack"),
    ("hooks.slack.com/triggers/", Form::Path, Class::ApiKey, "slack-webhook"),
    ("sgp_", Run(Url, 40, 64), Class::ApiKey, "sourcegraph"),
    ("EAAA", Run(Url, 22, 60), Class::ApiKey, "square"),
    ("sk_prod_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("rk_prod_", Run(Alnum, 16, 255), Class::ApiKey, "stripe"),
    ("T3BlbkFJ", Form::OpenAi, Class::ApiKey, "openai"),
    (":A", Form::Telegram, Class::ApiKey, "telegram"),
];

static AUTOMATON: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(FORMS.iter().map(|(beginning, ..)| *beginning))
        .ok()
});

/// Every key and token of a known form, and credentials in URLs.
pub(crate) fn find(text: &[u8], mut found: impl FnMut(Finding)) {
    // What was found is not looked into again: a key without its end takes all that follows, and looking for each end
    // anew would not be linear.
    let mut taken = 0;
    for hit in AUTOMATON.iter().flat_map(|automaton| automaton.find_iter(text)) {
        let Some((_, form, class, name)) = FORMS.get(hit.pattern().as_usize()) else { continue };
        if hit.start() < taken {
            continue;
        }
        let range = match form {
            Form::Run(alphabet, least, most) => {
                let end = run(text, hit.end(), most + 1, |byte| alphabet.has(byte));
                let is_long = end - hit.end() > *most;
                // One length only is a form's; of others the longer ones are masked to their end.
                let fits = end - hit.end() >= *least && (!is_long || least < most);
                (fits && !alnum(before(text, hit.start())) && is_mixed(part(text, hit.end()..end))).then(
                    || {
                        let end =
                            if is_long { run(text, end, usize::MAX, |byte| alphabet.has(byte)) } else { end };
                        hit.start()..trimmed(text, end)
                    },
                )
            }
            Form::Pem => pem(text, hit.start(), hit.end()),
            Form::File => Some(hit.start()..text.len()),
            Form::Jwt => jwt(text, hit.start()),
            Form::Url => url::credential(text, hit.start()),
            Form::Atlas => {
                let start = run_back(text, hit.start(), 14, alnum);
                let end = run(text, hit.end(), 80, |byte| Url.has(byte));
                (hit.start() - start == 14 && end - hit.end() >= 60).then_some(start..end)
            }
            Form::Entra => {
                let start = run_back(text, hit.start(), 5, |byte| Dotted.has(byte));
                let end = run(text, hit.end(), 40, |byte| Dotted.has(byte));
                (hit.start() - start >= 4 && end - hit.end() >= 31).then_some(start..end)
            }
            Form::Telegram => {
                let start = run_back(text, hit.start(), 17, |byte| byte.is_ascii_digit());
                let end = run(text, hit.end(), 35, |byte| Url.has(byte));
                ((5..=16).contains(&(hit.start() - start)) && end - hit.end() == 34).then_some(start..end)
            }
            Form::OpenAi => {
                let start = run_back(text, hit.start(), 160, |byte| Url.has(byte));
                let end = run(text, hit.end(), 160, |byte| Url.has(byte));
                let head = part(text, start..hit.start());
                (head.starts_with(b"sk-") && head.len() >= 20 && end - hit.end() >= 16).then_some(start..end)
            }
            Form::Path => {
                let end =
                    run(text, hit.end(), 400, |byte| Base64.has(byte) || matches!(byte, b'-' | b'_' | b'@'));
                (end - hit.end() >= 16).then_some(hit.end()..end)
            }
        };
        let Some(range) = range else { continue };
        taken = range.end;
        if *name == "aws-access-key"
            && let Some(secret) = aws_secret_near(text, range.end)
        {
            found(Finding::new(secret, Class::ApiKey, "aws-secret-key"));
        }
        found(Finding::new(range, *class, name));
    }
}

/// A dot that ends a sentence is none of the token.
fn trimmed(text: &[u8], end: usize) -> usize {
    end - usize::from(before(text, end) == b'.')
}

/// Whether it could have been drawn at random: words of one case, and one character again and again, are not.
fn is_mixed(body: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| body.iter().any(is);
    let kinds = usize::from(has(u8::is_ascii_digit))
        + usize::from(has(u8::is_ascii_uppercase))
        + usize::from(has(u8::is_ascii_lowercase));
    let distinct = body.iter().fold(0u128, |seen, byte| seen | 1 << (byte & 127)).count_ones();
    kinds >= 2 && distinct >= 6
}

fn pem(text: &[u8], start: usize, name: usize) -> Option<std::ops::Range<usize>> {
    let line = part(text, name..text.len().min(name + 60));
    let dashes = memchr::memmem::find(line, b"-----")?;
    let is_private = memchr::memmem::find(part(line, 0..dashes), b"PRIVATE KEY").is_some();
    if !is_private {
        return None;
    }
    let body = name + dashes + 5;
    let Some(end) = memchr::memmem::find(tail(text, body), b"-----END ") else {
        return Some(start..text.len());
    };
    let closing = body + end + 9;
    let last = memchr::memmem::find(part(text, closing..text.len().min(closing + 60)), b"-----");
    Some(start..last.map_or(text.len(), |last| closing + last + 5))
}

fn jwt(text: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
    /// The longest part of a token, in bytes.
    const PART_LIMIT_BYTES: usize = 16_384;
    if Url.has(before(text, start)) {
        return None;
    }
    let piece = |from: usize| run(text, from, PART_LIMIT_BYTES, |byte| Url.has(byte));
    let header = piece(start);
    if header - start < 10 || at(text, header) != b'.' {
        return None;
    }
    let claims = piece(header + 1);
    if claims - header < 5 {
        return None;
    }
    let is_open = at(text, claims) == b'.';
    let mut end = if is_open { piece(claims + 1) } else { claims };
    // A JWE has five parts (RFC 7516).
    for _ in 0..2 {
        if at(text, end) == b'.' && Url.has(at(text, end + 1)) {
            end = piece(end + 1);
        }
    }
    (is_open || part(text, header + 1..claims).starts_with(b"eyJ")).then_some(start..end)
}

/// The secret key that stands beside an access key's id, as in a downloaded file of both.
fn aws_secret_near(text: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
    const REACH_BYTES: usize = 80;
    const LENGTH: usize = 40;
    let is = |byte: u8| alnum(byte) || matches!(byte, b'+' | b'/');
    let mut position = from;
    while position < text.len().min(from + REACH_BYTES) {
        let start = position
            + part(text, position..from + REACH_BYTES.min(text.len() - from)).iter().position(|b| is(*b))?;
        let end = run(text, start, LENGTH + 1, is);
        if end - start == LENGTH && is_mixed(part(text, start..end)) {
            return Some(start..end);
        }
        position = run(text, end, REACH_BYTES, is) + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_automaton_builds() {
        assert!(super::AUTOMATON.is_some());
    }
}
