use super::place::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_twin_conforms() {
    crate::conformance::run(async || Place::new()).await;
}
