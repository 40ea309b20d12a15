//! The service behind the gateway: a shop's orders in memory, real HTTP, and a token without which it answers
//! nobody. Two shops stand in it, so that one can be production.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Orders = BTreeMap<u32, &'static str>;

/// The service, while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Its address, such as `http://127.0.0.1:4000`.
    pub(crate) url: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    token: String,
    shops: Mutex<BTreeMap<&'static str, Orders>>,
    deletes: AtomicU64,
}

impl Service {
    /// Starts on a free port. `token` is what it wants as a bearer's token.
    pub(crate) async fn start(token: &str) -> anyhow::Result<Self> {
        let orders: Orders = [(1001, "12 candles"), (1002, "1 anvil"), (1003, "400 envelopes")].into();
        let shared = Arc::new(Shared {
            token: token.to_owned(),
            shops: Mutex::new([("staging", orders.clone()), ("prod", orders)].into()),
            deletes: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new()
            .route("/{shop}/orders", get(list).delete(delete_all))
            .route("/{shop}/orders/{id}", get(one).delete(delete_one))
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, shared })
    }

    /// How many requests to delete have reached it.
    pub(crate) fn deletes(&self) -> u64 {
        self.shared.deletes.load(Ordering::SeqCst)
    }

    /// The orders of a shop that are left.
    pub(crate) fn left(&self, shop: &str) -> Vec<u32> {
        let shops = self.shared.shops.lock().unwrap_or_else(PoisonError::into_inner);
        shops.get(shop).map(|orders| orders.keys().copied().collect()).unwrap_or_default()
    }
}

async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let expected = format!("Bearer {}", shared.token);
    if request
        .headers()
        .get(header::AUTHORIZATION)
        .is_none_or(|value| value.as_bytes() != expected.as_bytes())
    {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "a token is needed" }))).into_response();
    }
    if request.method() == Method::DELETE {
        shared.deletes.fetch_add(1, Ordering::SeqCst);
    }
    next.run(request).await
}

async fn list(State(shared): State<Arc<Shared>>, Path(shop): Path<String>) -> Response {
    shared.with(&shop, |orders| {
        let orders: Vec<Value> = orders.iter().map(|(id, what)| json!({ "id": id, "what": what })).collect();
        Json(orders).into_response()
    })
}

async fn one(State(shared): State<Arc<Shared>>, Path((shop, id)): Path<(String, u32)>) -> Response {
    shared.with(&shop, |orders| match orders.get(&id) {
        Some(what) => Json(json!({ "id": id, "what": what })).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn delete_one(State(shared): State<Arc<Shared>>, Path((shop, id)): Path<(String, u32)>) -> Response {
    shared.with(&shop, |orders| match orders.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn delete_all(State(shared): State<Arc<Shared>>, Path(shop): Path<String>) -> Response {
    shared.with(&shop, |orders| {
        orders.clear();
        StatusCode::NO_CONTENT.into_response()
    })
}

impl Shared {
    fn with(&self, shop: &str, answer: impl FnOnce(&mut Orders) -> Response) -> Response {
        let mut shops = self.shops.lock().unwrap_or_else(PoisonError::into_inner);
        shops.get_mut(shop).map_or_else(|| StatusCode::NOT_FOUND.into_response(), answer)
    }
}
