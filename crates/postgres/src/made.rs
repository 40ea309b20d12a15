//! Roles that are made for one session, and dropped behind it.
//!
//! The server gets a SCRAM verifier of a password that was drawn here and is forgotten here: nothing that stands in its log
//! or its catalog lets anybody in. The password lapses before the role does. What a gate that was killed left behind is
//! swept away by the next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use postgres_protocol::password::scram_sha_256;
use tokio::time::timeout;

use crate::config::{Asked, MADE_LIFETIME, MADE_PATIENCE, SWEEP_PAUSE, Secret};
use crate::hold::{Onward, Rows};
use crate::parse::{BACKEND_LIMIT_BYTES, Backend, Frontend, Malformed, Text};
use crate::reply::{Refusal, State, Told};
use crate::stream::Conversation;
use crate::upstream;

/// What the names of all made roles begin with.
const PREFIX: &str = "countersign_made_";

/// A role that was made.
pub(crate) struct Made {
    administrator: Onward,
    acts_as: String,
    role: String,
}

/// When roles that were left behind were looked for last, by server, database and administrator.
#[derive(Default)]
pub(crate) struct Sweeps(Mutex<HashMap<(String, u16, Text, Text), Instant>>);

impl Made {
    /// Makes a role that acts as another, by somebody who may; and says how a session signs in as it.
    pub(crate) async fn make(
        administrator: &Onward,
        acts_as: &Text,
        sweeps: &Sweeps,
        asked: &mut Asked,
    ) -> Result<(Onward, Made), Refusal> {
        let role = format!("{PREFIX}{}", hex(&drawn::<8>()?));
        let password = hex(&drawn::<32>()?).into_bytes();
        let made = Made {
            administrator: administrator.clone(),
            acts_as: acts_as.as_str().to_owned(),
            role: role.clone(),
        };
        let work = async {
            let mut server = upstream::sign_in(administrator, &Asked::default()).await?.conversation;
            if sweeps.is_due(administrator) {
                sweep(&mut server, acts_as.as_str()).await;
            }
            let settings = made.create(&mut server, &password).await?;
            goodbye(server).await;
            Ok(settings)
        };
        match timeout(MADE_PATIENCE, work).await {
            Ok(Ok(settings)) => asked.prefer_own(settings),
            Ok(Err(refusal)) => return Err(refusal),
            Err(_) => return Err(refused("it takes too long")),
        }
        let user = Text::try_from(role).map_err(|error| refused(&error.to_string()))?;
        Ok((Onward { user, password: Secret::new(password), ..administrator.clone() }, made))
    }

    /// Drops the role, and ends what is still signed in as it. What fails is swept later.
    pub(crate) async fn end(self) {
        let work = async {
            let mut server = upstream::sign_in(&self.administrator, &Asked::default()).await?.conversation;
            let ends = format!(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = {}",
                literal(&self.role)
            );
            // Whoever may not end another's sessions may drop the role all the same.
            let _ = ask(&mut server, &ends).await;
            let dropped = drop_role(&mut server, &self.role, &self.acts_as).await;
            goodbye(server).await;
            dropped
        };
        match timeout(MADE_PATIENCE, work).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => {
                tracing::warn!(role = self.role, %refusal, "a role made for a session is left")
            }
            Err(_) => tracing::warn!(
                role = self.role,
                "a role made for a session is left: the server does not answer"
            ),
        }
    }

    /// What comes back are settings to sign in with.
    async fn create(&self, server: &mut Conversation, password: &[u8]) -> Result<Vec<(Text, Text)>, Refusal> {
        let (role, acts_as) = (identifier(&self.role), identifier(&self.acts_as));
        let until = format!(
            "SELECT (pg_catalog.clock_timestamp() + interval '{} s')::pg_catalog.text",
            MADE_LIFETIME.as_secs()
        );
        let until = one(ask(server, &until).await?)?;
        let settings = format!(
            "SELECT name, value, COALESCE((SELECT context FROM pg_catalog.pg_settings AS known \
             WHERE pg_catalog.lower(known.name) = pg_catalog.lower(own.name)), 'user') \
             FROM (SELECT pg_catalog.split_part(pair, '=', 1) AS name, \
             pg_catalog.substr(pair, pg_catalog.strpos(pair, '=') + 1) AS value, s.setdatabase AS place \
             FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS pair \
             WHERE s.setrole = {}::pg_catalog.regrole AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database \
             WHERE datname = pg_catalog.current_database()))) AS own ORDER BY place",
            literal(&acts_as)
        );
        let mut sql = format!(
            "CREATE ROLE {role} LOGIN INHERIT CONNECTION LIMIT 1 IN ROLE {acts_as} PASSWORD {} VALID UNTIL {}; \
             ALTER ROLE {role} SET role TO {acts_as};",
            literal(&scram_sha_256(password)),
            literal(&until)
        );
        // Settings come with the role that signs in, not with the one that it acts as. What everybody may set goes with
        // the sign-in, and all else only if the administrator may set it.
        let mut asked: Vec<(Text, Text)> = Vec::new();
        for row in ask(server, &settings).await? {
            let [Some(name), Some(value), Some(context)] = row.as_slice() else {
                return Err(refused("its settings are odd"));
            };
            let odd = |error: Malformed| refused(&error.to_string());
            let (name, value) =
                (Text::read(name.clone()).map_err(odd)?, Text::read(value.clone()).map_err(odd)?);
            if name.as_str().eq_ignore_ascii_case("role") {
                continue;
            }
            if context.as_ref() == b"user" {
                asked.retain(|(known, _)| *known != name);
                asked.push((name, value));
                continue;
            }
            let quoted: Vec<String> = name.as_str().split('.').map(identifier).collect();
            sql.push_str(&format!(
                " SELECT pg_catalog.set_config({}, {}, true); ALTER ROLE {role} SET {} FROM CURRENT;",
                literal(name.as_str()),
                literal(value.as_str()),
                quoted.join(".")
            ));
        }
        ask(server, &sql).await?;
        Ok(asked)
    }
}

impl Sweeps {
    fn is_due(&self, administrator: &Onward) -> bool {
        let Onward { upstream, user, database, .. } = administrator;
        let key = (upstream.host.clone(), upstream.port, database.clone(), user.clone());
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.get(&key).is_none_or(|last| last.elapsed() >= SWEEP_PAUSE);
        if is_due {
            last.insert(key, Instant::now());
        }
        is_due
    }
}

/// Drops roles whose password has lapsed and as whom nobody is signed in.
async fn sweep(server: &mut Conversation, acts_as: &str) {
    let left = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE pg_catalog.starts_with(rolname, {}) \
         AND rolvaliduntil < pg_catalog.clock_timestamp() \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE usename = rolname)",
        literal(PREFIX)
    );
    let Ok(rows) = ask(server, &left).await else { return };
    for row in rows {
        let [Some(role)] = row.as_slice() else { continue };
        let Ok(role) = text(role) else { continue };
        if let Err(refusal) = drop_role(server, role, acts_as).await {
            tracing::warn!(role, %refusal, "a role that was left behind cannot be dropped");
        }
    }
}

async fn drop_role(server: &mut Conversation, role: &str, acts_as: &str) -> Result<(), Refusal> {
    let (role, acts_as) = (identifier(role), identifier(acts_as));
    if ask(server, &format!("DROP ROLE IF EXISTS {role}")).await.is_ok() {
        return Ok(());
    }
    // It has something of its own, which only a member of it may give away.
    let all = format!(
        "GRANT {role} TO CURRENT_USER; REASSIGN OWNED BY {role} TO {acts_as}; DROP OWNED BY {role}; DROP ROLE {role}"
    );
    ask(server, &all).await.map(|_| ())
}

/// Runs a text, and gives the rows of all its statements.
async fn ask(server: &mut Conversation, sql: &str) -> Result<Rows, Refusal> {
    let text = Text::try_from(sql.to_owned()).map_err(|error| refused(&error.to_string()))?;
    let mut out = BytesMut::new();
    Frontend::Query(text).write(&mut out);
    server.write(&out).await.map_err(|error| refused(&error.to_string()))?;
    let (mut rows, mut wrong) = (Rows::new(), None);
    loop {
        let (tag, body) =
            server.next(BACKEND_LIMIT_BYTES).await.map_err(|error| refused(&error.to_string()))?;
        match tag {
            b'Z' => return wrong.map_or(Ok(rows), Err),
            b'E' => wrong = Some(refused(&Told::read(&body).message)),
            b'D' => match Backend::read(tag, body) {
                Ok(Backend::DataRow(row)) => rows.push(row),
                Ok(_) | Err(_) => return Err(refused("it does not keep to the protocol")),
            },
            _ => {}
        }
    }
}

async fn goodbye(mut server: Conversation) {
    let mut out = BytesMut::new();
    Frontend::Terminate.write(&mut out);
    let _ = server.write(&out).await;
}

fn one(mut rows: Rows) -> Result<String, Refusal> {
    match rows.pop().and_then(|row| row.into_iter().next()) {
        Some(Some(value)) => text(&value).map(str::to_owned),
        Some(None) | None => Err(refused("it does not answer what it was asked")),
    }
}

fn text(value: &Bytes) -> Result<&str, Refusal> {
    std::str::from_utf8(value).map_err(|error| refused(&error.to_string()))
}

fn refused(why: &str) -> Refusal {
    Refusal::new(State::CONNECTION, "the server behind the gate makes no role for this session")
        .with_detail(why)
}

fn drawn<const BYTES: usize>() -> Result<[u8; BYTES], Refusal> {
    let mut drawn = [0; BYTES];
    getrandom::fill(&mut drawn).map_err(|_| refused("the gate has no randomness"))?;
    Ok(drawn)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An identifier as SQL writes it.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal as SQL writes it, with `standard_conforming_strings` on, as it is pinned at every sign-in.
pub(crate) fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
