use std::sync::Arc;

use super::place::Place;
use super::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_twin_conforms() {
    let server = Arc::new(Server::start());
    crate::conformance::run(async || Place::new(&server)).await;
}
