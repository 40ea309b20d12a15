use super::super::socket::is_slack;
use super::super::tls;

#[test]
fn a_connection_goes_to_slack_alone() {
    for host in ["slack.com", "wss-primary.slack.com", "wss-backup.slack.com"] {
        assert!(is_slack(host), "{host}");
    }
    for host in
        ["", "com", "evilslack.com", "slack.com.evil.example", "slack.com.", "127.0.0.1", "xslack.com"]
    {
        assert!(!is_slack(host), "{host}");
    }
    assert!(tls::connector().is_ok());
}
