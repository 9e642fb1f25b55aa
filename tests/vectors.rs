//! Test vectors that others computed: tree hashes and signatures, in `tests/data/`.

use glacierfs::glacier::sigv4::{self, Authorization, Credentials, RequestLine, Scope};
use glacierfs::glacier::treehash::{self, PayloadHasher, TreeHash, TreeHasher};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    serde_json::from_str(&text).expect(&path)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn hash(value: &Value, key: &str) -> TreeHash {
    text(value, key).parse().expect(key)
}

fn data(pattern: &str, size: u64) -> Vec<u8> {
    match pattern {
        "i%251" => (0..size).map(|i| (i % 251) as u8).collect(),
        "zeros" => vec![0; size as usize],
        "ascii_0" => vec![b'0'; size as usize],
        other => panic!("a pattern this test doesn't know: {other}"),
    }
}

/// Checks both hashers on `data` against the linear and the tree hash; answers with the leaves.
fn check(data: &[u8], sha256: &str, tree: TreeHash) -> Vec<TreeHash> {
    let (mut streaming, mut payload) = (TreeHasher::new(), PayloadHasher::new());
    for piece in data.chunks(300_007) {
        streaming.update(piece);
        payload.update(piece);
    }
    assert_eq!(streaming.finish(), tree);
    let payload = payload.finish();
    assert_eq!(payload.tree_hash, tree);
    assert_eq!(hex::encode(payload.sha256), sha256);
    payload.leaves
}

/// Promise: linear hash, tree hash and leaves of every vector.
#[test]
fn tree_hashes() {
    let all = load("treehash-vectors.json");
    let vectors = list(&all, "vectors");
    assert!(vectors.len() >= 28);
    for vector in vectors {
        let data = data(text(vector, "pattern"), number(vector, "size"));
        let leaves = check(&data, text(vector, "sha256"), hash(vector, "tree_hash"));
        assert_eq!(leaves.len() as u64, number(vector, "leaf_count"), "{vector}");
        if let Some(expected) = vector["leaves"].as_array() {
            let leaves: Vec<String> = leaves.iter().map(TreeHash::to_string).collect();
            assert!(expected.iter().eq(leaves.iter()), "{vector}");
        }
    }
}

/// Promise: the vectors that other projects and the guide published.
#[test]
fn published_tree_hashes() {
    let all = load("treehash-vectors.json");
    let published = list(&all, "published");
    assert_eq!(published.len(), 4);
    for vector in published {
        let size = number(vector, "size") as usize;
        let unit = match text(vector, "data") {
            "262144 bytes of ascii \"0\"" => "0",
            described => described.split('"').nth(1).expect("quoted data"),
        };
        check(&unit.repeat(size / unit.len()).into_bytes(), text(vector, "sha256"), hash(vector, "tree_hash"));
    }
}

/// Promise: alignment of every range in the tables, and the hash of every aligned one from the leaves.
#[test]
fn ranges() {
    let mut aligned = 0;
    for archive in list(&load("treehash-vectors.json"), "range_alignment") {
        let size = number(archive, "size");
        let data = data("i%251", size);
        let leaves: Vec<_> = data.chunks(treehash::LEAF as usize).map(treehash::leaf).collect();
        for range in list(archive, "ranges") {
            let (first, last) = (number(range, "start"), number(range, "end"));
            assert_eq!(treehash::is_megabyte_aligned(size, first, last), range["megabyte_aligned"], "{range}");
            assert_eq!(treehash::is_aligned(size, first, last), range["tree_hash_aligned"], "{range}");
            let bytes = &data[first as usize..=last as usize];
            if let Some(expected) = range["tree_hash_of_range"].as_str() {
                assert_eq!(treehash::tree_hash(bytes).to_string(), expected, "{range}");
            }
            let from_leaves = treehash::range_hash(&leaves, size, first, last);
            let expected = range["tree_hash_aligned"].as_bool().expect("a bool").then(|| treehash::tree_hash(bytes));
            assert_eq!(from_leaves, expected, "{range}");
            aligned += usize::from(expected.is_some());
        }
    }
    assert!(aligned >= 15);
}

/// Promise: parts' hashes combine to the archive's, for every part size of the vectors.
#[test]
fn multipart() {
    let all = load("treehash-vectors.json");
    let uploads = list(&all, "multipart");
    assert!(uploads.len() > 3);
    for upload in uploads {
        let data = data("i%251", number(upload, "size"));
        let parts = data.chunks(number(upload, "part_size") as usize);
        let expected = list(upload, "parts");
        assert_eq!(parts.len(), expected.len());
        for (part, expected) in parts.zip(expected) {
            check(part, text(expected, "sha256"), hash(expected, "tree_hash"));
        }
        let combined = treehash::combine(expected.iter().map(|part| hash(part, "tree_hash")));
        assert_eq!(combined, hash(upload, "archive_tree_hash"));
    }
}

/// Promise: canonical request, string to sign, signing key, signature and `Authorization` of every vector, made by signing
/// and accepted by verifying; and the guide's placeholder signatures never verify.
#[test]
fn signatures() {
    let all = load("sigv4-vectors.json");
    let region = text(&all, "region");
    let placeholders = list(&all, "placeholders_in_the_guide_that_never_verify");
    let vectors: Vec<_> = list(&all, "published").iter().chain(list(&all, "computed")).collect();
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        let request = &vector["request"];
        let line =
            RequestLine { method: text(request, "method"), path: text(request, "path"), query: text(request, "query") };
        let mut headers = HeaderMap::new();
        for (name, value) in request["headers"].as_object().expect("headers") {
            let value = HeaderValue::from_str(value.as_str().expect("a string")).expect("a header value");
            headers.insert(name.parse::<HeaderName>().expect("a header name"), value);
        }
        let payload_hash = match headers.get("x-amz-content-sha256") {
            Some(hash) => hash.to_str().expect("ASCII").to_owned(),
            None => sigv4::payload_hash(text(request, "body_utf8").as_bytes()),
        };
        let credentials = Credentials {
            access_key: text(&all, "access_key_id").into(),
            secret_key: text(&all, "secret_access_key").into(),
            session_token: headers.get("x-amz-security-token").map(|token| token.to_str().expect("ASCII").into()),
        };
        let date = headers["x-amz-date"].to_str().expect("ASCII").to_owned();
        let time = sigv4::parse_amz_date(&date).expect(&date);
        let signed_headers = text(vector, "signed_headers");

        let canonical = sigv4::canonical_request(line, &headers, signed_headers, &payload_hash);
        assert_eq!(canonical, text(vector, "canonical_request"));
        assert_eq!(sigv4::payload_hash(canonical.as_bytes()), text(vector, "canonical_request_sha256"));
        let scope = Scope { date: &date[..8], region, service: "glacier", terminator: "aws4_request" };
        assert_eq!(scope.to_string(), text(vector, "scope"));
        assert_eq!(sigv4::string_to_sign(&date, scope, &canonical), text(vector, "string_to_sign"));
        let key = sigv4::signing_key(&credentials.secret_key, scope);
        assert_eq!(hex::encode(key), text(vector, "signing_key"));

        headers.remove("x-amz-date");
        headers.remove("x-amz-security-token");
        sigv4::sign(&credentials, region, time, line, &mut headers, &payload_hash).expect("signable");
        let (access_key, signature) = (&credentials.access_key, text(vector, "signature"));
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        assert_eq!(headers["authorization"], expected);
        let verify = |headers: &HeaderMap| {
            let authorization = Authorization::parse(headers).expect("well formed");
            authorization.verify(&credentials.secret_key, region, line, headers, &payload_hash, time)
        };
        assert_eq!(verify(&headers), Ok(()));
        for placeholder in placeholders {
            let forged = expected.replace(signature, text(placeholder, "signature"));
            headers.insert("authorization", forged.parse().expect("a header value"));
            assert!(verify(&headers).is_err(), "{vector}");
        }
    }
}
