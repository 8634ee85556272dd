//! Tokens that are none, or somebody else's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll_service::auth::Keys;
use ring::hmac;
use serde_json::{Value, json};

use crate::site::Site;

const APP: &str = "/api/v1/app/acme";

fn forged(key: &[u8], header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

async fn with(site: &Site, authorization: &[u8]) -> Option<crate::wire::Answer> {
    let mut request = format!("GET {APP} HTTP/1.1\r\nhost: x\r\n").into_bytes();
    request.extend_from_slice(authorization);
    request.extend_from_slice(b"\r\n");
    site.say(request).await
}

#[tokio::test]
async fn only_a_token_of_ours_that_is_valid_now_lets_in() {
    let mut site = Site::start(&[]).await;
    let secret = std::fs::read_to_string(site.data().join("jwt.secret")).unwrap();
    let (secret, hs256) = (secret.trim_end_matches('\n').as_bytes(), json!({ "alg": "HS256", "typ": "JWT" }));
    let good = json!({ "sub": "org_x", "exp": 4_000_000_000_u64 });
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    // The forger knows how: only the key is missing.
    let known = with(&site, bearer(&forged(secret, &hs256, &good)).as_bytes()).await.unwrap();
    known.refuses(404, &["not_found"]);
    let unsigned = forged(secret, &json!({ "alg": "none" }), &good);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    let token = &site.token;
    for authorization in [
        String::new(),
        "authorization: \r\n".into(),
        "authorization: Bearer\r\n".into(),
        "authorization: Basic eDp5\r\n".into(),
        format!("authorization: {token}\r\n"),
        format!("{}{}", bearer(token), bearer(token)),
        format!("{}authorization: Basic eDp5\r\n", bearer(token)),
        bearer(""),
        bearer("x"),
        bearer("a.b.c"),
        bearer(&format!("{token}x")),
        bearer(&token[..token.len() - 1]),
        bearer(&"x".repeat(4_097)),
        bearer(&"x.".repeat(10_000)),
        bearer(&unsigned),
        bearer(&forged(secret, &json!({ "alg": "none" }), &good)),
        bearer(&forged(secret, &json!({ "alg": "HS512" }), &good)),
        bearer(&forged(secret, &json!({ "alg": "HS256", "crit": ["x"] }), &good)),
        bearer(&forged(b"another key", &hs256, &good)),
        bearer(&forged(b"", &hs256, &good)),
        bearer(&forged(secret, &hs256, &json!({ "sub": "org_x", "exp": 1_000_000_000 }))),
        bearer(&forged(
            secret,
            &hs256,
            &json!({ "sub": "org_x", "exp": 4_000_000_000_u64, "nbf": 3_900_000_000_u64 }),
        )),
        bearer(&forged(secret, &hs256, &json!({ "sub": "org_x" }))),
        bearer(&forged(secret, &hs256, &json!({ "sub": "org_x", "exp": 1e300 }))),
        bearer(&forged(secret, &hs256, &json!({ "sub": "../x", "exp": 4_000_000_000_u64 }))),
        bearer(&forged(secret, &hs256, &json!([[[[]]]]))),
    ] {
        let answer = with(&site, authorization.as_bytes()).await.unwrap();
        answer.refuses(401, &["authentication_failed"]);
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    for bytes in [&b"authorization: Bearer \xff\xfe\r\n"[..], b"authorization: Bearer \0\r\n"] {
        let answer = with(&site, bytes).await;
        assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 400 | 401)), "{answer:?}");
    }
    site.is_well().await;
}

#[tokio::test]
async fn somebody_without_a_token_learns_nothing_and_holds_nothing() {
    let mut site = Site::start(&["admission.requests=4", "tenant.requests=4"]).await;
    for path in [APP, "/api/v1/app/nobody", "/nothing", "/v1/jobs", "/v1/jobs/claim", "/api/v1/app/%ff"] {
        let body = "x".repeat(100_000);
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 900000000\r\n\r\n{body}");
        site.say(request).await.unwrap().refuses(401, &["authentication_failed"]);
    }
    site.is_well().await;
}

#[tokio::test]
async fn a_token_of_another_organisation_finds_nothing() {
    let mut site = Site::start(&[]).await;
    let other = Keys::load_or_create(&site.data()).unwrap().issue("org_b").unwrap();
    let own = std::mem::replace(&mut site.token, other);
    for (method, path, body) in [
        ("GET", APP, ""),
        ("DELETE", APP, ""),
        ("POST", "/api/v1/app/acme/msg", r#"{"eventType": "a", "payload": {}}"#),
        ("POST", "/api/v1/app/acme/endpoint", r#"{"url": "http://a/"}"#),
        ("PATCH", APP, r#"{"name": "mine"}"#),
    ] {
        site.ask(method, path, body).await.refuses(404, &["not_found"]);
    }
    assert_eq!(site.get("/api/v1/app").await.json()["data"], json!([]));
    site.token = own;
    assert_eq!(site.get(APP).await.json()["name"], "Acme");
    site.is_well().await;
}
