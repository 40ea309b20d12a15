//! A person with a browser and a passkey in software, over the API that the console's pages use.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use softkey::SoftBrowser;

/// How long an approved change of the deployment may take to stand.
const APPLIED_WITHIN: Duration = Duration::from_secs(20);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The cookie that carries a session.
const COOKIE_NAME: &str = "countersign_session";

/// Somebody who is signed in at the console.
#[derive(Debug)]
pub struct Person {
    http: Client,
    site: String,
    session: String,
    passkey: SoftBrowser,
}

/// Why the gateway said no, as it says it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The problem's stable code.
    pub code: String,
    /// What happened.
    pub detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl Person {
    /// Enrols a passkey by a one-time link, such as `http://localhost:7676/enrol#…`, and signs in.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway. A key that an administrator must sign for first is an error here: see
    /// [`Person::ask_to_enrol`].
    pub async fn enrol(link: &str, label: &str) -> anyhow::Result<Self> {
        let (person, answer) = Self::begin(link, label).await?;
        if answer.get("status").and_then(Value::as_str) != Some("enrolled") {
            bail!("the key waits for an administrator: {answer}");
        }
        Ok(person)
    }

    /// Makes a passkey by a one-time link, and asks for it to be enrolled: the person, who is not signed in, and the
    /// id of the request in which an administrator signs for this key.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn ask_to_enrol(link: &str, label: &str) -> anyhow::Result<(Self, String)> {
        let (person, answer) = Self::begin(link, label).await?;
        let id = answer.get("id").and_then(Value::as_str).context("the enrolment waits for nobody")?;
        Ok((person, id.to_owned()))
    }

    async fn begin(link: &str, label: &str) -> anyhow::Result<(Self, Value)> {
        let (site, invite) = link.split_once("/enrol#").context("this is no enrolment link")?;
        let mut person = Self {
            http: Client::new(),
            site: site.to_owned(),
            session: String::new(),
            passkey: SoftBrowser::new(site),
        };
        let options = person.post("/v1/enrolment/options", &json!({ "invite": invite })).await?;
        let credential = person.passkey.enrol(&options).await?;
        let body = json!({ "invite": invite, "label": label, "credential": credential });
        let answer = person.post("/v1/enrolment", &body).await?;
        Ok((person, answer))
    }

    /// Signs in again, by passkey.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn log_in(&mut self) -> anyhow::Result<()> {
        self.session.clear();
        let options = self.send(Method::POST, "/v1/login/options", None).await?;
        let credential = self.passkey.assert(&options).await?;
        self.post("/v1/login", &json!({ "credential": credential })).await?;
        Ok(())
    }

    /// Uses the passkey again, as changes of the deployment want.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn step_up(&mut self) -> anyhow::Result<()> {
        let options = self.send(Method::POST, "/v1/step-up/options", None).await?;
        let credential = self.passkey.assert(&options).await?;
        self.post("/v1/step-up", &json!({ "credential": credential })).await?;
        Ok(())
    }

    /// Lets the command line that shows this code act for this person.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn confirm_command_line(&mut self, code: &str) -> anyhow::Result<()> {
        self.post("/v1/cli-logins/confirm", &json!({ "code": code })).await?;
        Ok(())
    }

    /// Makes the one-time link at which somebody who is known enrols their first passkey.
    ///
    /// # Errors
    /// A [`Problem`], nobody of that name, or no gateway.
    pub async fn invite(&mut self, name: &str) -> anyhow::Result<String> {
        let known = self.get("/v1/people").await?;
        let people = known.get("people").and_then(Value::as_array).into_iter().flatten();
        let mut named = people.filter(|person| person.get("name").and_then(Value::as_str) == Some(name));
        let id = named.find_map(|person| person.get("id")?.as_str()).context("nobody has this name")?;
        let invited = self.send(Method::POST, &format!("/v1/people/{id}/invite"), Some(&json!({}))).await?;
        invited
            .get("url")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .context("there is no link in the invite")
    }

    /// Opens a request and approves it: the passkey signs the statement over what was shown.
    ///
    /// # Errors
    /// A [`Problem`] where this person may not, or no gateway.
    pub async fn approve(&mut self, id: &str) -> anyhow::Result<()> {
        self.review(id, "approve", None).await
    }

    /// Approves a change of the deployment, and waits until it stands.
    ///
    /// # Errors
    /// A [`Problem`] where this person may not, a change that did not come to stand in time, or no gateway.
    pub async fn sign_for(&mut self, id: &str) -> anyhow::Result<()> {
        self.approve(id).await?;
        let end = Instant::now() + APPLIED_WITHIN;
        loop {
            let request = self.get(&format!("/v1/approvals/{id}")).await?;
            match request.get("state").and_then(Value::as_str) {
                Some("finished") => return Ok(()),
                Some("approved" | "executing") if Instant::now() < end => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                state => bail!("the change did not come to stand: {state:?}"),
            }
        }
    }

    /// Opens a request and denies it.
    ///
    /// # Errors
    /// A [`Problem`] where this person may not, or no gateway.
    pub async fn deny(&mut self, id: &str, why: &str) -> anyhow::Result<()> {
        self.review(id, "deny", Some(why)).await
    }

    /// Opens a request and asks about it.
    ///
    /// # Errors
    /// A [`Problem`] where this person may not, or no gateway.
    pub async fn ask(&mut self, id: &str, question: &str) -> anyhow::Result<()> {
        self.review(id, "ask", Some(question)).await
    }

    async fn review(&mut self, id: &str, verdict: &str, note: Option<&str>) -> anyhow::Result<()> {
        let shown = self.get(&format!("/v1/approvals/{id}")).await?;
        let displayed = shown.get("card_digest").context("the request has no card")?;
        let asked = json!({ "verdict": verdict, "note": note, "displayed": displayed });
        let prepared = self.post(&format!("/v1/approvals/{id}/statements"), &asked).await?;
        let options = prepared.get("options").context("there is nothing to sign")?;
        let credential = self.passkey.assert(options).await?;
        let signed = json!({ "statement": prepared.get("statement"), "credential": credential });
        self.post(&format!("/v1/approvals/{id}/reviews"), &signed).await?;
        Ok(())
    }

    /// Reads something of the API.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Posts something to the API.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends something to the API, as a page of the console would: with its origin, and the session in the cookie.
    ///
    /// # Errors
    /// A [`Problem`], or no gateway.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.site));
        if method != Method::GET {
            request = request.header(ORIGIN, &self.site).header(CONTENT_TYPE, "application/json");
        }
        if !self.session.is_empty() {
            request = request.header(COOKIE, format!("{COOKIE_NAME}={}", self.session));
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        for cookie in response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok())
        {
            if let Some(("countersign_session", value)) =
                cookie.split(';').next().and_then(|pair| pair.split_once('='))
            {
                value.clone_into(&mut self.session);
            }
        }
        let text = response.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let member = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = member("type").rsplit('/').next().unwrap_or_default().to_owned();
        let detail = if member("detail").is_empty() {
            format!("{method} {path}: {status}")
        } else {
            member("detail").to_owned()
        };
        Err(Problem { status: status.as_u16(), code, detail }.into())
    }
}
