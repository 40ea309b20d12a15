//! The story itself.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use demo::Person;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinHandle;

use crate::Options;
use crate::house::{Gateway, House};
use crate::orders::Service;
use crate::stage::{Stage, took};

/// The upstream's token: the gateway has it, the agent never sees it.
const SECRET: &str = "only-the-gateway-knows-this";
/// How long the demo looks for a held request before it gives up.
const HOLD_PATIENCE: Duration = Duration::from_secs(10);
/// How many reads are timed.
const READS: u32 = 20;
/// How many lines of a report say what matters most.
const REPORT_TOP: usize = 6;

const POLICY: &str = r#"@id("read")
@why("Reads pass")
permit (principal, action in Action::"read", resource);

@id("change")
@why("Changes pass where nothing below holds them")
permit (principal, action in [Action::"write", Action::"destroy"], resource);

@id("removal")
@hold("reviewers:1")
@ttl("30m")
@grant("10m")
@why("Removes orders")
forbid (principal, action in Action::"destroy", resource);
"#;

/// Who stands in front of the browser.
enum Reviewer {
    /// A passkey in software.
    Software(Box<Person>),
    /// Whoever watches.
    You,
}

struct Tale {
    stage: Stage,
    house: House,
    service: Service,
    http: Client,
    options: TaleOptions,
    /// The agent's access token.
    token: String,
}

#[derive(Clone, Copy)]
struct TaleOptions {
    unattended: bool,
    open: bool,
}

/// Tells it from beginning to end.
pub(crate) async fn tell(options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let folder =
        tempfile::Builder::new().prefix("countersign-demo-").disable_cleanup(options.keep).tempdir()?;
    let stage = Stage::new();
    let how = if options.unattended {
        "a passkey in software stands in for people"
    } else {
        "you hold the passkey"
    };
    stage.title("Countersign", how);
    stage.say("");
    stage.say("building the gateway …");
    let house = House::build(folder.path(), SECRET).await?;
    let began_story = Instant::now();
    let mut tale = Tale {
        stage,
        service: Service::start(SECRET).await?,
        http: Client::builder().redirect(reqwest::redirect::Policy::none()).build()?,
        options: TaleOptions {
            unattended: options.unattended,
            open: !options.no_open && !options.unattended,
        },
        token: String::new(),
        house,
    };
    let gateway = tale.gateway_starts().await?;
    let mut alice = tale.alice_enrols(&gateway).await?;
    tale.alice_sets_up(&mut alice).await?;
    tale.agent_reads().await?;
    let approved = tale.agent_removes(&mut alice).await?;
    tale.alice_denies(&mut alice).await?;
    let mut receipts = vec![tale.receipt(&approved, "staging.receipt.json").await?];
    if let Reviewer::Software(alice) = &mut alice {
        let separated = tale.production_needs_two(alice).await?;
        receipts.push(tale.receipt(&separated, "production.receipt.json").await?);
    }
    tale.proof(gateway, &receipts).await?;
    tale.stage.say("");
    let told =
        format!("told in {} (building took {})", took(began_story.elapsed()), took(began_story - began));
    tale.stage.good(&told);
    if options.keep {
        tale.stage.say(&format!("everything is kept in {}", folder.path().display()));
    }
    Ok(())
}

impl Tale {
    async fn gateway_starts(&mut self) -> anyhow::Result<Gateway> {
        self.stage.step("A gateway starts, on an empty store");
        let gateway = self.house.start().await?;
        self.stage.command("countersign up");
        self.stage.say(&format!("console and API  {}", self.house.url));
        self.stage.say(&format!("for agents       {}", self.house.point));
        self.stage.say(&format!("log key          {}", gateway.log_key));
        self.stage.good(&format!("ready after {}", took(gateway.ready)));
        Ok(gateway)
    }

    async fn alice_enrols(&mut self, gateway: &Gateway) -> anyhow::Result<Reviewer> {
        self.stage.step("The first administrator enrols a passkey");
        if self.options.unattended {
            let mut alice = Person::enrol(&gateway.invite, "Alice's laptop").await?;
            self.stage.good("Alice has enrolled one, by the one-time link that the gateway printed");
            self.sign_in(Some(&mut alice)).await?;
            return Ok(Reviewer::Software(Box::new(alice)));
        }
        self.show_link("Enrol your passkey (you are Alice, the first administrator)", &gateway.invite);
        self.stage.say("When that is done, let this terminal act for you:");
        self.sign_in(None).await?;
        Ok(Reviewer::You)
    }

    /// `countersign login`: the terminal shows a code, a person with a passkey confirms it.
    async fn sign_in(&self, software: Option<&mut Person>) -> anyhow::Result<()> {
        let mut child = self.house.command(&["login", "--no-open"])?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut url = String::new();
        while let Some(line) = lines.next_line().await? {
            if let Some(at) = line.find("http") {
                line.get(at..).unwrap_or_default().trim().clone_into(&mut url);
            }
            let Some((_, code)) = line.split_once("code: ") else { continue };
            match software {
                Some(person) => person.confirm_command_line(code).await?,
                None => self.show_link(&format!("Confirm the code {code}"), &url),
            }
            break;
        }
        ensure!(child.wait().await?.success(), "`countersign login` did not succeed");
        self.stage.command("countersign login");
        self.stage.good("the command line may list and propose for Alice; it can never approve");
        Ok(())
    }

    async fn alice_sets_up(&mut self, alice: &mut Reviewer) -> anyhow::Result<()> {
        self.stage.step("She sets up an agent, a route and a policy");
        let service = &self.service.url;
        for (shop, prefix) in [("staging", "/staging"), ("prod", "/prod")] {
            let wait = if matches!(alice, Reviewer::You) { "30m" } else { "60s" };
            let route = format!(
                "name = \"orders-{shop}\"\nprefix = \"{prefix}\"\nupstream = \"{service}/{shop}\"\n\
                 environment = \"{shop}\"\nwait = \"{wait}\"\ncredential = {{ secret = \"orders-token\" }}\n\n\
                 [[operations]]\nmethod = \"GET\"\npath = \"/orders\"\nresource = \"orders\"\n\n\
                 [[operations]]\nmethod = \"GET\"\npath = \"/orders/{{id}}\"\nresource = \"orders/{{id}}\"\n\n\
                 [[operations]]\nmethod = \"DELETE\"\npath = \"/orders\"\nresource = \"orders\"\n\n\
                 [[operations]]\nmethod = \"DELETE\"\npath = \"/orders/{{id}}\"\nresource = \"orders/{{id}}\"\n"
            );
            std::fs::write(self.house.folder.join(format!("orders-{shop}.toml")), route)?;
        }
        std::fs::write(self.house.folder.join("policy.cedar"), POLICY)?;
        for args in [
            &["agent", "new", "shopkeeper", "--sponsor", "Alice"][..],
            &["group", "add", "reviewers", "Alice"],
            &["route", "set", "orders-staging.toml"],
            &["policy", "apply", "policy.cedar"],
        ] {
            self.house.must(args).await?;
            self.stage.command(&format!("countersign {}", args.join(" ")));
        }
        self.stage.say("the agent has a key of its own; the orders' token only the gateway has");
        self.stage.good("reads pass; whatever removes waits for one of the group `reviewers`");
        Ok(())
    }

    async fn agent_reads(&mut self) -> anyhow::Result<()> {
        self.stage.step("The agent reads: nobody is asked");
        let token = self.house.must(&["agent", "token", "shopkeeper.agent.json"]).await?;
        token.trim().clone_into(&mut self.token);
        let bare = self.http.get(format!("{}/staging/orders", self.service.url)).send().await?;
        self.stage.call(
            "GET /orders, past the gateway",
            bare.status().as_u16(),
            "the agent has no token for the service",
        );
        let read = self.call(Method::GET, "/staging/orders", None).await?;
        let status = read.status().as_u16();
        let orders: Value = read.json().await?;
        ensure!(status == 200, "the read did not pass: {status} {orders}");
        let direct = self.time(&format!("{}/staging/orders", self.service.url), SECRET).await?;
        let gated = self.time(&format!("{}/staging/orders", self.house.point), &self.token).await?;
        let count = orders.as_array().map_or(0, Vec::len);
        let remark =
            format!("{count} orders, in {} (straight to the service: {})", took(gated), took(direct));
        self.stage.call("GET /orders, through it", status, &remark);
        Ok(())
    }

    /// The median of some reads over a warm connection.
    async fn time(&self, url: &str, token: &str) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..READS {
            let began = Instant::now();
            self.http.get(url).bearer_auth(token).send().await?.bytes().await?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().context("nothing was timed")
    }

    /// The dangerous call, approved. Returns the request's id.
    async fn agent_removes(&mut self, alice: &mut Reviewer) -> anyhow::Result<String> {
        self.stage.step("It removes an order: the call stops, and its connection waits");
        let calling = self.call_aside(Method::DELETE, "/staging/orders/1002", "the anvil was ordered twice");
        let id = self.held().await?;
        self.stage.held("DELETE /orders/1002", "nothing has reached the service");
        ensure!(self.service.deletes() == 0, "the call reached the service before anybody approved");
        let began = Instant::now();
        match alice {
            Reviewer::Software(alice) => {
                alice.approve(&id).await?;
                self.stage.say(&format!("Alice opens {}", self.page(&id)));
                self.stage.say("and approves: her passkey signs exactly what the page showed");
            }
            Reviewer::You => self.show_link("Look at it, and approve it with your passkey", &self.page(&id)),
        }
        let response = calling.await??;
        let status = response.status().as_u16();
        if status != 204 {
            bail!("the call came back with {status}: {}", response.text().await?);
        }
        let remark = format!("{} after the page was opened", took(began.elapsed()));
        self.stage.call("DELETE /orders/1002", status, &remark);
        ensure!(self.service.left("staging") == [1001, 1003], "the order is still there");
        ensure!(self.service.deletes() == 1, "the service saw {} deletions", self.service.deletes());
        self.stage.good("order 1002 is gone; the service saw exactly one deletion");
        Ok(id)
    }

    async fn alice_denies(&mut self, alice: &mut Reviewer) -> anyhow::Result<()> {
        self.stage.step("It removes everything: Alice says no");
        let calling = self.call_aside(Method::DELETE, "/staging/orders", "start afresh");
        let id = self.held().await?;
        match alice {
            Reviewer::Software(alice) => alice.deny(&id, "not the whole shop, please").await?,
            Reviewer::You => self.show_link("Look at it, and deny it", &self.page(&id)),
        }
        let response = calling.await??;
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap_or_default();
        let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
        self.stage.call("DELETE /orders", status, detail);
        ensure!(status == 403, "a denial is 403, and this was {status}");
        ensure!(self.service.deletes() == 1, "a denied call reached the service");
        self.stage.good("two orders are left; the service heard nothing of it");
        Ok(())
    }

    /// What solo evaluation refuses, and what a second person changes. Returns the request's id.
    async fn production_needs_two(&mut self, alice: &mut Person) -> anyhow::Result<String> {
        self.stage.step("Production needs somebody else: Bob joins");
        for args in [
            &["route", "set", "orders-prod.toml"][..],
            &["person", "add", "Bob"],
            &["group", "add", "reviewers", "Bob"],
        ] {
            self.house.must(args).await?;
            self.stage.command(&format!("countersign {}", args.join(" ")));
        }
        let link = alice.invite("Bob").await.context("Alice could not invite Bob")?;
        let (mut bob, key) =
            Person::ask_to_enrol(&link, "Bob's phone").await.context("Bob has no passkey")?;
        alice.sign_for(&key).await.context("Alice could not sign for Bob's passkey")?;
        bob.log_in().await.context("Bob could not sign in")?;
        self.stage.say("in the console Alice makes a one-time link; Bob makes his passkey by it, and Alice");
        self.stage.say("signs for exactly this key: only then does it speak for him");
        let calling = self.call_aside(Method::DELETE, "/prod/orders/1003", "the envelopes were returned");
        let id = self.held().await?;
        match alice.approve(&id).await {
            Ok(()) => bail!("Alice approved what her own agent asks"),
            Err(error) => self.stage.call("Alice approves", 403, &format!("{error:#}")),
        }
        bob.approve(&id).await.context("Bob could not approve")?;
        let status = calling.await??.status().as_u16();
        self.stage.call("Bob approves", status, "DELETE /prod/orders/1003 ran");
        ensure!(status == 204, "the call came back with {status}");
        ensure!(self.service.left("prod") == [1001, 1002], "the order is still there");
        ensure!(self.service.deletes() == 2, "the service saw {} deletions", self.service.deletes());
        self.stage.good("whoever answers for an agent does not review it");
        Ok(id)
    }

    async fn receipt(&self, id: &str, file: &str) -> anyhow::Result<String> {
        let key = "shopkeeper.agent.json";
        self.house.must(&["audit", "receipt", id, "--with-payload", "--agent-key", key, "-o", file]).await?;
        Ok(file.to_owned())
    }

    async fn proof(&mut self, gateway: Gateway, receipts: &[String]) -> anyhow::Result<()> {
        self.stage.step("The proof, verified with the gateway switched off");
        let log_key = gateway.log_key.clone();
        gateway.stop().await?;
        for (position, receipt) in receipts.iter().enumerate() {
            self.stage.command(&format!("countersign audit verify {receipt} --log-key …"));
            let ran = self.house.run(&["audit", "verify", receipt, "--log-key", &log_key]).await?;
            ensure!(ran.code == 0, "the receipt does not verify: {}{}", ran.out, ran.err);
            let last = position + 1 == receipts.len();
            // One report whole is enough; of the others, what stands on top.
            let shown = if last { usize::MAX } else { REPORT_TOP };
            self.stage.quote(&ran.out.lines().take(shown).collect::<Vec<_>>().join("\n"));
            self.stage.say("");
        }
        let forged = forge(&self.house.folder.join(receipts.last().context("no receipt")?))?;
        std::fs::write(self.house.folder.join("forged.receipt.json"), forged)?;
        let ran = self.house.run(&["audit", "verify", "forged.receipt.json", "--log-key", &log_key]).await?;
        ensure!(ran.code == 1, "a forged receipt was not found out: {}", ran.out);
        self.stage.command("countersign audit verify forged.receipt.json --log-key …");
        self.stage.quote(ran.out.lines().next().unwrap_or_default());
        self.stage.good("what happened can be proven, and one changed byte is found");
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, reason: Option<&str>) -> anyhow::Result<Response> {
        Ok(request(&self.http, method, &format!("{}{path}", self.house.point), &self.token, reason).await?)
    }

    /// A call that goes on beside the story: its connection waits while people decide.
    fn call_aside(&self, method: Method, path: &str, reason: &str) -> JoinHandle<reqwest::Result<Response>> {
        let (http, url) = (self.http.clone(), format!("{}{path}", self.house.point));
        let (token, reason) = (self.token.clone(), reason.to_owned());
        tokio::spawn(async move { request(&http, method, &url, &token, Some(&reason)).await })
    }

    /// The id of the one request that waits for people.
    async fn held(&self) -> anyhow::Result<String> {
        let end = Instant::now() + HOLD_PATIENCE;
        loop {
            let inbox = self.house.json(&["inbox"]).await?;
            let rows = inbox.get("approvals").and_then(Value::as_array);
            let waiting = rows.into_iter().flatten().find_map(|row| row.get("id")?.as_str());
            if let Some(id) = waiting {
                return Ok(id.to_owned());
            }
            ensure!(Instant::now() < end, "the call was not held; the inbox says {inbox}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn page(&self, id: &str) -> String {
        format!("{}/approvals/{id}", self.house.url)
    }

    fn show_link(&self, what: &str, url: &str) {
        self.stage.link(what, url);
        if self.options.open {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let quiet = || Stdio::null();
            let _ = std::process::Command::new(opener)
                .arg(url)
                .stdin(quiet())
                .stdout(quiet())
                .stderr(quiet())
                .spawn();
        }
    }
}

async fn request(
    http: &Client,
    method: Method,
    url: &str,
    token: &str,
    reason: Option<&str>,
) -> reqwest::Result<Response> {
    let mut request = http.request(method, url).bearer_auth(token).header("countersign-run", "demo-1");
    if let Some(reason) = reason {
        request = request.header("countersign-reason", reason);
    }
    request.send().await
}

/// The same receipt with one letter of one leaf changed.
fn forge(receipt: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = std::fs::read_to_string(receipt)?;
    let at = text.find("\"leaf\":\"").context("the receipt has no leaf")? + 20;
    let other = if text.get(at..=at) == Some("A") { "B" } else { "A" };
    text.replace_range(at..=at, other);
    let mut bytes = Vec::new();
    bytes.write_all(text.as_bytes())?;
    Ok(bytes)
}
