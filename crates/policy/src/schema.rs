//! The Cedar schema: the types from `schema.cedarschema`, the verbs from the vocabulary.

use std::fmt::Write as _;
use std::sync::LazyLock;

use cedar_policy as cedar;
use domain::verb::{VOCABULARY, VerbGroup};

use crate::LoadError;

/// The target on which the deployment itself is changed (`config.*`).
pub const CONFIG_TARGET: &str = "countersign";
/// The environment of such changes. It does not say production, so that rules on production, and solo
/// evaluation's refusal of production, do not catch the deployment's own set-up by accident.
pub const CONFIG_ENVIRONMENT: &str = "control";

const TYPES: &str = include_str!("schema.cedarschema");

/// The whole schema as text, for `countersign policy schema` and for editors.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = TYPES.to_owned();
        for group in VerbGroup::ALL {
            let _ = writeln!(text, "action \"{}\";", group.as_str());
        }
        for (verb, group, meaning) in VOCABULARY {
            let _ = writeln!(text, "\n// {meaning}.");
            let _ = writeln!(
                text,
                "action \"{verb}\" in [\"{}\"] appliesTo {{ principal: [Agent, Person], resource: [Resource], context: Facts }};",
                group.as_str()
            );
        }
        text
    });
    &TEXT
}

/// The schema as Cedar reads it.
pub(crate) fn schema() -> Result<&'static cedar::Schema, LoadError> {
    static SCHEMA: LazyLock<Result<cedar::Schema, String>> = LazyLock::new(|| {
        cedar::Schema::from_cedarschema_str(text())
            .map(|(schema, _)| schema)
            .map_err(|error| error.to_string())
    });
    SCHEMA.as_ref().map_err(|error| {
        LoadError::whole(
            format!("the built-in schema does not load: {error}"),
            "this build is broken; report it",
        )
    })
}
