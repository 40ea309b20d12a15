//! Shapes that several resources share: texts with their patterns, and the records of other rooms as the API
//! document describes them. Clients may read answers into these types.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A text of 1 to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(pub String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.chars().count() > MAX {
            return Err(serde::de::Error::custom(format_args!(
                "a text of 1 to {MAX} characters is expected"
            )));
        }
        Ok(Self(text))
    }
}

impl<const MAX: usize> PartialSchema for Text<MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX)).into()
    }
}

impl<const MAX: usize> ToSchema for Text<MAX> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Text{MAX}"))
    }
}

macro_rules! text_shape {
    ($(#[doc = $doc:literal])* $name:ident, $change:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let change: fn(ObjectBuilder) -> ObjectBuilder = $change;
                let description = [$($doc),*].concat();
                change(ObjectBuilder::new().schema_type(Type::String).description(Some(description.trim()))).into()
            }
        }

        impl ToSchema for $name {}
    };
}

text_shape!(
    /// A UUID, as actions, people, agents and questions have them.
    Id, |s| s.format(Some(SchemaFormat::Custom("uuid".to_owned()))));
text_shape!(
    /// A name: 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
    Name, |s| s.pattern(Some("^[a-z0-9._-]{1,64}$")));
text_shape!(
    /// Bytes in base64url without padding (RFC 4648, section 5).
    Base64Url, |s| s.pattern(Some("^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$")));
text_shape!(
    /// Bytes in base64 with padding (RFC 4648, section 4).
    Base64, |s| s.pattern(Some("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$")));
text_shape!(
    /// A SHA-256 digest in base64url without padding: 43 characters.
    DigestText, |s| s.pattern(Some("^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")));
text_shape!(
    /// An Ed25519 public key, 32 bytes in base64url without padding: 43 characters.
    Ed25519Key, |s| s.pattern(Some("^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")));
text_shape!(
    /// `agent:<uuid>` or `person:<uuid>`.
    PrincipalText, |s| s.pattern(Some("^(agent|person):[0-9a-f-]{36}$")));

text_shape!(
    /// Tells two intended identical requests apart: 1 to 128 visible ASCII characters.
    KeyText, |s| s.pattern(Some("^[!-~]{1,128}$")));

/// Any value of strict JSON: numbers are integers within 2^53.
#[derive(Debug, Clone, Copy)]
pub enum AnyValue {}

impl PartialSchema for AnyValue {
    fn schema() -> RefOr<Schema> {
        let one = |kind| ObjectBuilder::new().schema_type(kind);
        let integer = one(Type::Integer).minimum(Some(-INTEGER_LIMIT)).maximum(Some(INTEGER_LIMIT));
        let nested = || Ref::from_schema_name("AnyValue");
        OneOfBuilder::new()
            .item(one(Type::Null))
            .item(one(Type::Boolean))
            .item(one(Type::String))
            .item(integer)
            .item(ArrayBuilder::new().items(nested()))
            .item(one(Type::Object).additional_properties(Some(nested())))
            .description(Some("Any value of strict JSON: numbers are integers within 2^53"))
            .into()
    }
}

impl ToSchema for AnyValue {}

/// The largest integer that strict JSON holds.
const INTEGER_LIMIT: i64 = 1 << 53;

/// Any object of strict JSON.
#[derive(Debug, Clone, Copy)]
pub enum AnyObject {}

impl PartialSchema for AnyObject {
    fn schema() -> RefOr<Schema> {
        any_object("Any object of strict JSON").into()
    }
}

impl ToSchema for AnyObject {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("AnyValue".to_owned(), AnyValue::schema()));
    }
}

/// A message of OTLP in JSON. OpenTelemetry says what stands in it; fields that nobody knows are passed over, whatever
/// they hold (OTLP 1.x, "JSON Protobuf Encoding").
#[derive(Debug, Clone, Copy)]
pub enum OtlpMessage {}

impl PartialSchema for OtlpMessage {
    fn schema() -> RefOr<Schema> {
        let what = "A message of OTLP in JSON, as OpenTelemetry defines it; unknown fields are passed over";
        ObjectBuilder::new().schema_type(Type::Object).description(Some(what)).into()
    }
}

impl ToSchema for OtlpMessage {}

fn any_object(what: &str) -> ObjectBuilder {
    let value = Ref::from_schema_name("AnyValue");
    ObjectBuilder::new().schema_type(Type::Object).description(Some(what)).additional_properties(Some(value))
}

/// Words from outside, in pieces that show what is hidden.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
    /// Whether any piece is marked.
    pub suspicious: bool,
}

/// A piece of text as a reader must see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// The text; of a hidden character, its name, such as `U+202E`.
    pub text: String,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PieceKind {
    /// What it looks like.
    Plain,
    /// A character that does not show, or changes how others show.
    Hidden,
    /// A word in which letters of several scripts stand together.
    Mixed,
}

/// Everything that a reviewer decides by, as facts from the gateway.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of this shape: 2.
    pub v: u8,
    /// The approval.
    #[schema(value_type = Id)]
    pub id: String,
    /// What would be done, such as `http.delete`.
    pub verb: String,
    /// To what.
    pub resource: Shown,
    /// Where it stands.
    pub environment: String,
    /// Whether that is production.
    pub production: bool,
    /// In which target.
    pub target: String,
    /// How risky, and why.
    pub risk: Risk,
    /// The rules that hold it, in their authors' words.
    pub rules: Vec<Rule>,
    /// What people must do.
    pub requirement: Option<Requirement>,
    /// Who asks, and everybody behind: verified by the gateway.
    pub chain: Vec<Party>,
    /// The run, as the caller claims.
    pub run: Option<Shown>,
    /// The reason, in the caller's words: untrusted.
    pub reason: Option<Shown>,
    /// Exactly what would run.
    pub payload: Vec<Part>,
    /// How many bytes that is.
    pub payload_bytes: u64,
    /// Whether all of it stands here; where not, it is opened whole before anybody can approve.
    pub complete: bool,
    /// The fields of which something is masked here; `reveal` opens each. The action's digest covers what they
    /// really are.
    pub masked: Vec<MaskedField>,
    /// Those of them that you have opened in the console, by path.
    pub revealed: Vec<String>,
    /// Where it was intercepted, such as `http`.
    pub point: String,
    /// `enforced`, or `cooperative` where the caller could go round.
    pub level: String,
    /// With which credential, by name.
    pub credential: Option<String>,
    /// Questions and answers so far.
    pub questions: Vec<Exchange>,
    /// The digest of the exact action.
    #[schema(value_type = DigestText)]
    pub action: String,
    /// The digest of the evaluation.
    #[schema(value_type = DigestText)]
    pub evaluation: String,
    /// The policy set's digest.
    #[schema(value_type = DigestText)]
    pub policy: String,
    /// When it was asked for, in microseconds since 1970.
    pub requested: u64,
    /// When it lapses undecided, in microseconds since 1970.
    pub expires: u64,
}

/// A score and what it is made of.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// From 0 to 100.
    pub score: i64,
    /// The addends, largest first.
    pub reasons: Vec<RiskReason>,
}

/// One addend of a risk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskReason {
    /// How much it adds.
    pub points: i64,
    /// Why.
    pub why: String,
}

/// A rule that decided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The rule's `@id`.
    pub id: String,
    /// Its author's words.
    pub why: String,
}

impl From<&domain::evaluation::DecidingRule> for Rule {
    fn from(rule: &domain::evaluation::DecidingRule) -> Self {
        Self { id: rule.id.to_string(), why: rule.why.clone() }
    }
}

/// Everything that people must do before the action runs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Every one of these must be lifted.
    pub holds: Vec<Hold>,
    /// How long the request waits for people, in seconds.
    pub ttl: u64,
    /// How long an approval can be spent, in seconds.
    pub grant: u64,
    /// The weakest review that counts: `chat` or `passkey`.
    pub assurance: String,
    /// `full`, or `none` in solo evaluation.
    pub separation: String,
}

/// One rule's hold: any one of its alternatives lifts it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The rule that holds.
    pub rule: String,
    /// Its author's words.
    pub why: String,
    /// The alternatives.
    pub any_of: Vec<Quorum>,
}

/// So many distinct humans of one group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// Of which group.
    pub group: String,
    /// How many.
    pub count: u8,
    /// Whether this is break-glass: in an emergency one of the group lifts the hold alone, and says so and why in
    /// what they sign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// A party of an action's chain.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Who.
    #[schema(value_type = PrincipalText)]
    pub principal: String,
    /// Their name as the directory has it.
    pub name: String,
    /// `caller`, or their role behind it.
    pub role: String,
}

/// A field of which something is masked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedField {
    /// Which: a part's path, or `resource`, `reason` or `run`.
    pub path: String,
    /// What is masked there, such as `card`: each class once.
    pub classes: Vec<String>,
}

/// One part of what would run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is, such as `http.body`.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// The text, where it is text and stands here.
    pub text: Option<Shown>,
    /// The bytes, where they are not text.
    #[schema(value_type = Option<Base64>)]
    pub base64: Option<String>,
    /// Whether it was left out here; open the payload to see it.
    pub cut: bool,
    /// Whether it was erased.
    pub erased: bool,
}

/// A question and what came of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The question's id.
    #[schema(value_type = Id)]
    pub id: String,
    /// Who asked.
    pub by: String,
    /// The question.
    pub question: Shown,
    /// The answer, in the caller's words: untrusted.
    pub answer: Option<Shown>,
    /// Whether the asker took it back.
    pub withdrawn: bool,
}

/// A part in which two actions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Which part, such as `resource.name` or `payload parameters.limit`.
    pub part: String,
    /// What it was, where it can be shown.
    pub before: Option<String>,
    /// What it is now, where it can be shown.
    pub after: Option<String>,
}

impl From<domain::action::Difference> for Difference {
    fn from(difference: domain::action::Difference) -> Self {
        let domain::action::Difference { part, before, after } = difference;
        Self { part, before, after }
    }
}

/// What came of an action.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// `succeeded`, `failed`, or `unknown` after a crash.
    pub ending: String,
    /// `observed` by the gateway, or `reported` by whoever ran it.
    pub witnessed: String,
    /// The target's own word.
    pub detail: String,
    /// The digest of the result's bytes, where they were seen whole.
    #[schema(value_type = Option<DigestText>)]
    pub result: Option<String>,
    /// How many bytes the result had.
    pub bytes: u64,
}

impl From<&domain::outcome::Outcome> for Outcome {
    fn from(outcome: &domain::outcome::Outcome) -> Self {
        use domain::outcome::{Ending, Witnessed};
        let ending = match outcome.ending {
            Ending::Succeeded => "succeeded",
            Ending::Failed => "failed",
            Ending::Unknown => "unknown",
        };
        let witnessed = match outcome.witnessed {
            Witnessed::Observed => "observed",
            Witnessed::Reported => "reported",
        };
        Self {
            ending: ending.to_owned(),
            witnessed: witnessed.to_owned(),
            detail: outcome.detail.clone(),
            result: outcome.result.map(|digest| digest.to_string()),
            bytes: outcome.bytes,
        }
    }
}

/// A browser's passkey answer: `PublicKeyCredential.toJSON()` of WebAuthn Level 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credential(pub serde_json::Map<String, serde_json::Value>);

impl Credential {
    /// The answer's bytes, as the passkey checks read them.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }
}

impl PartialSchema for Credential {
    fn schema() -> RefOr<Schema> {
        let what =
            "A browser's passkey answer: `PublicKeyCredential.toJSON()` (WebAuthn Level 3, section 5.1)";
        any_object(what).into()
    }
}

impl ToSchema for Credential {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PublicKeyCredential")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        AnyObject::schemas(schemas);
    }
}

/// Options for the browser: WebAuthn's `parseCreationOptionsFromJSON()` and `parseRequestOptionsFromJSON()` take
/// them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasskeyOptions(pub serde_json::Value);

impl PartialSchema for PasskeyOptions {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "Options for the browser's passkey call, as JSON (WebAuthn Level 3, section 5.1)",
            ))
            .into()
    }
}

impl ToSchema for PasskeyOptions {}

/// The proof, in one file, that verifies without the gateway; see `docs/receipts.md`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this shape: 1.
    pub v: u8,
    /// The deployment.
    pub origin: String,
    /// The action's and approval's id.
    #[schema(value_type = Id)]
    pub approval: String,
    /// The signed checkpoint, a C2SP signed note.
    pub checkpoint: String,
    /// The entries with their proofs, in the log's order.
    pub entries: Vec<ReceiptEntry>,
    /// The payload, each field open or withheld.
    pub payload: Vec<Disclosed>,
    /// What was signed for each key whose own case is among the entries; absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ReceiptKey>,
}

/// The payload of a case in which a key was signed for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptKey {
    /// Where that case's request stands in the log.
    pub entry: u64,
    /// Its payload, each field open or withheld.
    pub payload: Vec<Disclosed>,
}

/// One entry of a receipt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptEntry {
    /// Where it stands in the log.
    pub index: u64,
    /// The leaf's exact bytes.
    #[schema(value_type = Base64Url)]
    pub leaf: String,
    /// The inclusion proof (RFC 6962), from the leaf up.
    #[schema(value_type = Vec<Base64Url>)]
    pub proof: Vec<String>,
    /// The leaf's fields.
    pub fields: Vec<Disclosed>,
}

/// A field in the open, or only its commitment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclosed {
    /// The field with salt and value.
    Open(OpenField),
    /// The commitment of a field that was withheld or erased.
    #[schema(value_type = DigestText)]
    Withheld(String),
}

/// A field with salt and value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenField {
    /// What the field is.
    pub path: String,
    /// 32 random bytes.
    #[schema(value_type = Base64Url)]
    pub salt: String,
    /// The value's exact bytes.
    #[schema(value_type = Base64Url)]
    pub value: String,
}
