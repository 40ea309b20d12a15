//! What a route's settings must be, each held against the others. Only what passes becomes a [`Route`].

use std::collections::BTreeMap;

use domain::action::Point;
use domain::id::GroupName;
use domain::time::Span;
use domain::verb::{Verb, VerbGroup};

use super::super::headers;
use super::super::parse::is_method;
use super::super::path::CanonicalPath;
use super::super::template::{Naming, Relation, Template};
use super::super::upstream::{Authority, Upstream};
use super::{
    BODY_LIMIT_MAX_BYTES, BadRoute, Compiled, Credential, FORMAT_LIMIT_BYTES, HOSTS_LIMIT,
    LABEL_KEY_LIMIT_BYTES, LABEL_VALUE_LIMIT_BYTES, LABELS_LIMIT, NAMES_LIMIT, OPERATIONS_LIMIT, Operation,
    QUERY_CONDITIONS_LIMIT, RESULT_LIMIT_MAX_BYTES, Route, Settings, WAIT_MAX, bad, bearer, limit,
};

impl Route {
    pub(super) fn check(mut settings: Settings) -> Result<Self, BadRoute> {
        if settings.point != Point::Http {
            return Err(bad("point", settings.point.as_str(), "this is a route of the HTTP point: `http`"));
        }
        limit("hosts", settings.hosts.len(), HOSTS_LIMIT, "hosts")?;
        let mut hosts = Vec::with_capacity(settings.hosts.len());
        for text in &mut settings.hosts {
            let why = "a host name or address with an optional port is expected, each once; leave `hosts` out for any host";
            let host = Authority::read(text.as_bytes()).ok_or_else(|| bad("hosts", text, why))?;
            if hosts.contains(&host) {
                return Err(bad("hosts", text, why));
            }
            *text = host.to_string();
            hosts.push(host);
        }
        let prefix = settings.prefix.as_deref().map(check_prefix).transpose()?;
        let upstream =
            Upstream::read(&settings.upstream).map_err(|why| bad("upstream", &settings.upstream, why))?;
        check_labels("labels", &settings.labels)?;
        if let Some(credential) = &mut settings.credential {
            credential.check()?;
        }
        check_span("wait", settings.wait, WAIT_MAX)?;
        check_span(
            "retry_window",
            settings.retry_window,
            Span::from_seconds(domain::time::SPAN_LIMIT_SECONDS),
        )?;
        check_bytes("body_limit", settings.body_limit, BODY_LIMIT_MAX_BYTES)?;
        check_bytes("result_limit", settings.result_limit, RESULT_LIMIT_MAX_BYTES)?;
        check_names("strip_headers", &mut settings.strip_headers)?;
        check_names("allow_upgrade", &mut settings.allow_upgrade)?;
        if let Some(h2c) = settings.allow_upgrade.iter().find(|name| matches!(name.as_str(), "h2c" | "tls")) {
            return Err(bad("allow_upgrade", h2c, "an upgrade to another HTTP would carry requests past us"));
        }
        check_mask(&settings.mask)?;
        let mut route = Self { settings, hosts, prefix, upstream, compiled: Vec::new() };
        route.compile()?;
        Ok(route)
    }

    fn compile(&mut self) -> Result<(), BadRoute> {
        limit("operations", self.settings.operations.len(), OPERATIONS_LIMIT, "operations")?;
        for (index, operation) in self.settings.operations.iter().enumerate() {
            self.compiled.push(operation.compile(index, &self.settings)?);
        }
        for (at, one) in self.compiled.iter().enumerate() {
            for two in self.compiled.iter().skip(at + 1) {
                self.tell_apart(one, two)?;
            }
        }
        let operations = &self.settings.operations;
        self.compiled.sort_by_cached_key(|compiled| {
            let operation = operations.get(compiled.index);
            let conditions = operation.map_or(0, |operation| operation.query.len());
            let is_head = operation.is_some_and(|operation| operation.method == "HEAD");
            (compiled.template.rank(), std::cmp::Reverse(conditions), !is_head, compiled.index)
        });
        Ok(())
    }

    /// Refuses two operations that one request could be without an order between them.
    fn tell_apart(&self, one: &Compiled, two: &Compiled) -> Result<(), BadRoute> {
        let (Some(first), Some(second)) = (self.operation(one), self.operation(two)) else { return Ok(()) };
        if first.method != second.method {
            return Ok(());
        }
        let ambiguous = |why| Err(BadRoute::Ambiguous { first: first.title(), second: second.title(), why });
        match one.template.relation(&two.template) {
            Relation::Disjoint | Relation::Narrower | Relation::Wider => Ok(()),
            // Left to right still decides, but a reader of the route should not have to know who wins.
            Relation::Crossing if one.verb == two.verb && first.labels == second.labels => Ok(()),
            Relation::Crossing => ambiguous(
                "some paths fit both; give both the same verb, or add an operation for those paths and take one of these out",
            ),
            Relation::Same => {
                let apart = |name: &String, value: &String| {
                    second.query.get(name).is_some_and(|other| other != value && other != "*" && value != "*")
                };
                let within = |small: &Operation, large: &Operation| {
                    small.query.len() < large.query.len()
                        && small.query.iter().all(|(name, value)| large.query.get(name) == Some(value))
                };
                if first.query.iter().any(|(name, value)| apart(name, value))
                    || within(first, second)
                    || within(second, first)
                {
                    return Ok(());
                }
                ambiguous("the same requests fit both; keep one, or tell them apart by `query`")
            }
        }
    }
}

impl Operation {
    fn compile(&self, index: usize, settings: &Settings) -> Result<Compiled, BadRoute> {
        let setting = |name: &str| format!("operations.{index}.{name}");
        if !is_method(&self.method) || matches!(self.method.as_str(), "TRACE" | "TRACK" | "CONNECT") {
            return Err(bad(
                setting("method"),
                &self.method,
                "a method in capital letters that is passed on is expected",
            ));
        }
        let template = Template::read(&self.path).map_err(|why| bad(setting("path"), &self.path, why))?;
        if template.is_opaque() && !settings.opaque_slashes {
            return Err(bad(
                setting("path"),
                &self.path,
                "an encoded slash is matched only with `opaque_slashes = true`",
            ));
        }
        let naming = match &self.resource {
            Some(text) => Some(
                Naming::read(text, &template.variables())
                    .map_err(|why| bad(setting("resource"), text, why))?,
            ),
            None => None,
        };
        let verb = self.verb.unwrap_or_else(|| Verb::of_method(&self.method));
        if !verb.as_str().starts_with("http.") || verb.as_str() == "http.upgrade" {
            return Err(bad(
                setting("verb"),
                verb.as_str(),
                "a verb of HTTP such as `http.destroy` is expected",
            ));
        }
        limit(setting("query"), self.query.len(), QUERY_CONDITIONS_LIMIT, "parameters")?;
        let too_long = |text: &String| text.len() > LABEL_VALUE_LIMIT_BYTES;
        if let Some((name, _)) =
            self.query.iter().find(|(name, value)| name.is_empty() || too_long(name) || too_long(value))
        {
            return Err(bad(
                setting("query"),
                name,
                format!("1 to {LABEL_VALUE_LIMIT_BYTES} bytes are expected"),
            ));
        }
        check_labels(&setting("labels"), &self.labels)?;
        for (key, value) in &self.labels {
            if settings.labels.get(key).is_some_and(|routes| routes != value) {
                return Err(bad(setting("labels"), key, "the route has this label with another value"));
            }
        }
        let protective = |group| matches!(group, VerbGroup::Read);
        if self.graphql && (settings.opaque || protective(verb.group())) {
            let why = "a GraphQL operation needs a body that is read, and a verb for what is no query, such as `http.write`";
            return Err(bad(setting("graphql"), "true", why));
        }
        Ok(Compiled { index, template, naming, verb })
    }
}

impl Credential {
    fn check(&mut self) -> Result<(), BadRoute> {
        self.header = self.header.to_ascii_lowercase();
        if !headers::is_plain_name(&self.header)
            || headers::is_never_forwarded(&self.header) && self.header != "authorization"
        {
            return Err(bad(
                "credential.header",
                &self.header,
                "a header for the upstream, such as `authorization`, is expected",
            ));
        }
        if self.format.len() > FORMAT_LIMIT_BYTES
            || self.format.matches("{secret}").count() != 1
            || !self.format.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            return Err(bad(
                "credential.format",
                &self.format,
                "visible ASCII with `{secret}` once is expected",
            ));
        }
        if let Some(user) = &self.basic_user {
            let ok = !user.is_empty()
                && user.len() <= FORMAT_LIMIT_BYTES
                && !user.contains(':')
                && !user.contains(char::is_control);
            if !ok || self.format != bearer() {
                return Err(bad(
                    "credential.basic_user",
                    user,
                    "a user without `:`, and no `format` beside it, is expected",
                ));
            }
        }
        Ok(())
    }
}

fn check_prefix(text: &str) -> Result<CanonicalPath, BadRoute> {
    let path =
        CanonicalPath::read(text.as_bytes()).map_err(|refusal| bad("prefix", text, refusal.to_string()))?;
    if path.as_str() != text || path.is_opaque() || text.ends_with('/') {
        return Err(bad(
            "prefix",
            text,
            "leading segments such as `/orders`, without a slash at the end, are expected",
        ));
    }
    Ok(path)
}

fn check_labels(setting: &str, labels: &BTreeMap<String, String>) -> Result<(), BadRoute> {
    limit(setting, labels.len(), LABELS_LIMIT, "labels")?;
    let key_fits = |key: &str| {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
        !key.is_empty() && key.len() <= LABEL_KEY_LIMIT_BYTES && key.bytes().all(ok)
    };
    for (key, value) in labels {
        if !key_fits(key) {
            let why =
                format!("1 to {LABEL_KEY_LIMIT_BYTES} letters, digits, `-`, `_`, `.` and `/` are expected");
            return Err(bad(setting, key, why));
        }
        if value.len() > LABEL_VALUE_LIMIT_BYTES || value.contains(char::is_control) {
            return Err(bad(
                setting,
                value,
                format!("at most {LABEL_VALUE_LIMIT_BYTES} bytes without control characters are expected"),
            ));
        }
    }
    Ok(())
}

fn check_span(setting: &str, span: Span, max: Span) -> Result<(), BadRoute> {
    if span.seconds() == 0 || span > max {
        return Err(bad(setting, &span.to_string(), format!("1s to {max} is expected")));
    }
    Ok(())
}

fn check_bytes(setting: &str, actual: u64, max: u64) -> Result<(), BadRoute> {
    if actual > max { Err(bad(setting, &actual.to_string(), format!("at most {max} bytes"))) } else { Ok(()) }
}

fn check_names(setting: &str, names: &mut [String]) -> Result<(), BadRoute> {
    limit(setting, names.len(), NAMES_LIMIT, "names")?;
    for name in names {
        *name = name.to_ascii_lowercase();
        if !headers::is_plain_name(name) {
            return Err(bad(setting, name, "letters, digits and `-` are expected"));
        }
    }
    Ok(())
}

fn check_mask(rules: &mask::Rules) -> Result<(), BadRoute> {
    mask::Masker::new(rules)?;
    match &rules.reveal {
        mask::Reveal::Group(name) if name.parse::<GroupName>().is_err() => {
            Err(bad("mask.reveal", name, "`reviewers`, `admins` or the name of a group is expected"))
        }
        mask::Reveal::Group(_) | mask::Reveal::Admins | mask::Reveal::Reviewers => Ok(()),
    }
}
