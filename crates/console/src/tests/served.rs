//! The router over a real gateway and store: who is led where, and that every answer is hardened.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use audit::{Ed25519Signer, NoteSigner as _};
use domain::digest::Blob;
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::id::GroupName;
use gateway::identity::{Session, SessionToken, relying_party};
use gateway::ports::SystemEntropy;
use gateway::store::Store;
use gateway::store::clock::ManualClock;
use gateway::store::embedded::{EmbeddedConfig, EmbeddedStore};
use gateway::store::seal::SealingKey;
use gateway::{Gateway, Parts, Settings};
use serde_json::json;
use tempfile::TempDir;

use super::fixtures::{at, person};

const ORIGIN: &str = "countersign.example/log";
const PUBLIC_URL: &str = "http://localhost:7676";

/// A console that is served, with Ada signed in by `cookie`.
struct Served {
    address: SocketAddr,
    cookie: String,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = Ed25519Signer::new(ORIGIN.parse().unwrap(), &[3; 32]);
        let log_key = signer.verifier().to_string();
        let store = EmbeddedStore::open(EmbeddedConfig {
            path: folder.path().join("countersign.db"),
            anchor_path: folder.path().join("anchor"),
            origin: ORIGIN.parse().unwrap(),
            signer: Box::new(signer),
            sealing_key: SealingKey::new([5; 32]),
            clock: Arc::new(ManualClock::new(at(0))),
        });
        let store: Arc<dyn Store> = Arc::new(store.unwrap());
        let cookie = sign_in(store.as_ref()).await;
        let gateway = Gateway::new(Parts {
            store,
            entropy: Arc::new(SystemEntropy),
            settings: Settings {
                origin: ORIGIN.parse().unwrap(),
                public_url: PUBLIC_URL.to_owned(),
                relying_party: relying_party(PUBLIC_URL).unwrap(),
                retry_key: [7; 32],
                log_key,
            },
            token_key: [9; 32],
            activity_folder: folder.path().join("activity"),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let index = folder.path().join("search.db");
        let index = search::Index::open(&index, &ORIGIN.parse().unwrap(), search::Reset::Keep);
        let router = crate::router(gateway.unwrap(), index.unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, cookie, _folder: folder }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n{lines}\r\n"
        );
        let address = self.address;
        let text = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let text = text.await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("cookie", &self.cookie)]).await
    }

    async fn get_unknown(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Makes Ada known, an administrator with a passkey, and opens a session of hers.
async fn sign_in(store: &dyn Store) -> String {
    let key = Passkey {
        credential_id: Blob(vec![1; 16]),
        public_key: Blob(vec![1; 32]),
        rp_id: "localhost".to_owned(),
        origin: PUBLIC_URL.to_owned(),
        label: "iPhone".to_owned(),
    };
    let ada = person(1);
    let events = [
        DirectoryEvent::PersonAdded { id: ada, name: "Ada Brandt".to_owned() },
        DirectoryEvent::KeyEnrolled { person: ada, key },
        DirectoryEvent::GroupJoined { group: GroupName::admins(), person: ada },
    ];
    let changes = events.into_iter().map(|event| Change { event, by: None, approval: None }).collect();
    store.change(store.directory().version(), changes).await.unwrap();
    let token = SessionToken::new(ada, [4; 32]);
    let now = store.now();
    let session: Session = serde_json::from_value(json!({
        "v": 1, "person": ada, "kind": "console", "key": Blob(vec![1; 16]),
        "created": now, "last_seen": now, "authenticated_at": now, "csrf": Blob(vec![2; 32]),
    }))
    .unwrap();
    store.keep(&token.vault_key(), &session.write().unwrap(), session.lifetime(now)).await.unwrap();
    format!("countersign_session={}", token.expose())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_is_led_to_the_sign_in_and_back() {
    let served = Served::start().await;
    let check = async |path: &str, expected: &str| {
        let answer = served.get_unknown(path).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(expected)), "{path}");
    };
    check("/", "/login").await;
    check("/people", "/login?next=/people").await;
    check(
        "/approvals/0195f3a0-0000-7000-8000-000000000001",
        "/login?next=/approvals/0195f3a0-0000-7000-8000-000000000001",
    )
    .await;
    check("/cli?code=BCDFGHJK", "/login?next=/cli%3Fcode%3DBCDFGHJK").await;
    let two = [("cookie", served.cookie.as_str()), ("cookie", served.cookie.as_str())];
    assert_eq!(served.ask("GET", "/", &two).await.status, 303, "two sessions are none");
    let back = served.get("/login?next=/policy").await;
    assert_eq!((back.status, back.header("location")), (303, Some("/policy")));
    let out = served.get("/login?next=//evil.example").await;
    assert_eq!((out.status, out.header("location")), (303, Some("/")));
    for page in ["/login", "/enrol"] {
        assert_eq!(served.get_unknown(page).await.status, 200, "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_router_is_hardened() {
    let served = Served::start().await;
    let known = crate::assets::address("page.js");
    let expected = [
        ("/", 200),
        ("/inbox/list?tab=all", 200),
        ("/?tab=done", 200),
        ("/?tab=none", 400),
        ("/people", 200),
        ("/agents", 200),
        ("/routes", 200),
        ("/policy", 200),
        ("/activity", 200),
        ("/trail", 200),
        ("/trail?q=verb%3Ahttp.get+orders", 200),
        ("/trail/list?q=foo%3Abar", 200),
        ("/trail?after=x", 400),
        ("/cli", 200),
        ("/approvals/nonsense", 404),
        ("/approvals/0195f3a0-0000-7000-8000-000000000001", 404),
        ("/nowhere", 404),
        ("/static/old/page.js", 200),
        ("/static/old/../../Cargo.toml", 404),
        ("/favicon.ico", 200),
        (known.as_str(), 200),
    ];
    for (path, status) in expected {
        let answer = served.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert_eq!(policy, crate::guard::CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let kept = answer.header("cache-control").unwrap_or_default();
        let versioned = path == known || path == "/favicon.ico";
        assert_eq!(kept.contains("immutable"), versioned, "{path}: {kept}");
        assert!(versioned || kept == "no-store", "{path}: {kept}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    assert_eq!(served.ask("POST", "/people", &[("cookie", &served.cookie)]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_opened_only_by_our_own_page() {
    let served = Served::start().await;
    let path = "/approvals/0195f3a0-0000-7000-8000-000000000001/payload";
    let cookie = ("cookie", served.cookie.as_str());
    assert_eq!(served.ask("POST", path, &[cookie]).await.status, 403);
    assert_eq!(served.ask("POST", path, &[cookie, ("x-csrf-token", "made-up")]).await.status, 403);
    assert_eq!(served.get(path).await.status, 405, "no GET opens it");
    let page = served.get("/").await.body;
    let token = page.split_once("name=\"csrf\" content=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(
        served.ask("POST", path, &[cookie, ("x-csrf-token", token)]).await.status,
        404,
        "there is none"
    );
}
