use super::super::connector::{Member, ServiceHosts};
use super::super::handle::stands;

const TENANT: &str = "7a9c1b2e-0000-4000-8000-000000000001";
const USER: &str = "7a9c1b2e-0000-4000-8000-0000000000a0";

fn member(id: &str, tenant: &str, name: &str, role: &str) -> Member {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Member {
        aad_object_id: given(id),
        tenant_id: given(tenant),
        user_principal_name: given(name),
        user_role: given(role),
    }
}

#[test]
fn only_users_of_the_tenant_stand() {
    let upper = USER.to_uppercase();
    for (what, member, code) in [
        ("a user", member(USER, TENANT, "ann@acme.example", "user"), None),
        ("a user in capitals", member(&upper, TENANT, "ann@acme.example", "User"), None),
        ("a guest", member(USER, TENANT, "", "guest"), Some("guest")),
        ("an anonymous", member(USER, TENANT, "", "anonymous"), Some("guest")),
        ("nobody says what", member(USER, TENANT, "ann@acme.example", ""), Some("guest")),
        ("a guest by name", member(USER, TENANT, "ann_b.example#EXT#@acme.example", "user"), Some("guest")),
        ("another tenant", member(USER, USER, "ann@b.example", "user"), Some("foreign-tenant")),
        ("no tenant", member(USER, "", "ann@acme.example", "user"), Some("foreign-tenant")),
        ("somebody else", member(TENANT, TENANT, "bo@acme.example", "user"), Some("no-person")),
        ("no object id", member("", TENANT, "bot", "user"), Some("no-person")),
    ] {
        assert_eq!(stands(&member, USER, TENANT).err().map(|answer| answer.code), code, "{what}");
    }
}

#[test]
fn tokens_go_to_hosts_on_the_list() {
    let hosts = ServiceHosts(["smba.trafficmanager.net".to_owned(), "127.0.0.1:8080".to_owned()].into());
    for (url, is_allowed) in [
        ("https://smba.trafficmanager.net/amer/", true),
        ("https://smba.trafficmanager.net", true),
        ("https://smba.trafficmanager.net:443/emea/", true),
        ("http://127.0.0.1:8080/_connector", true),
        ("http://127.0.0.1:8081/_connector", false),
        ("http://smba.trafficmanager.net/amer/", false),
        ("https://smba.trafficmanager.net:8443/amer/", false),
        ("https://smba.trafficmanager.net.evil.example/amer/", false),
        ("https://evil.example/smba.trafficmanager.net", false),
        ("https://smba.trafficmanager.net@evil.example/", false),
        ("https://user:pass@smba.trafficmanager.net/", false),
        ("https://smba.trafficmanager.net/?x=1", false),
        ("https://smba.trafficmanager.net/#x", false),
        ("ftp://smba.trafficmanager.net/", false),
        ("", false),
    ] {
        assert_eq!(hosts.allow(url).is_ok(), is_allowed, "{url}");
    }
}
