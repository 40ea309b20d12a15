//! What is wrong with a bundle's file itself.

use domain::canonical;

use crate::pack::{Pack, lines, tarred};
use crate::vectors::{Set, two};

/// The names and contents of an archive's files.
type Files = Vec<(String, Vec<u8>)>;

/// What is wrong with the file itself.
pub(crate) fn archives(set: &mut Set) {
    let pack = Pack::cases(&two());
    let files = pack.files();
    let manifest = canonical::write(&pack.manifest(&files)).unwrap();
    let mut add = |name: &str, bytes: Vec<u8>| set.add(&format!("archive-{name}"), bytes, "invalid");
    let text = String::from_utf8(manifest.clone()).unwrap();
    let spelt = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        tarred(changed.as_bytes(), &files)
    };
    add("manifest-with-white-space", spelt("{\"cases\"", "{ \"cases\""));
    add("manifest-with-a-key-twice", spelt("{\"cases\":4", "{\"cases\":4,\"cases\":4"));
    add("manifest-of-another-version", spelt("bundle/v1", "bundle/v2"));
    add("manifest-with-another-member", spelt("{\"cases\":4", "{\"a\":1,\"cases\":4"));
    add("manifest-out-of-order", spelt("{\"cases\":4,\"entries\":", "{\"entries\":"));
    add("manifest-of-an-escaped-name", spelt("\"checkpoint\"", "\"checkpoin\\u0074\""));
    let renamed = |to: &str| {
        let mut files = files.clone();
        files[1].0 = to.to_owned();
        let manifest = text.replacen("\"checkpoint\"", &format!("\"{to}\""), 1);
        tarred(manifest.as_bytes(), &files)
    };
    for (name, to) in [
        ("up", "../checkpoint"),
        ("absolute", "/checkpoint"),
        ("folder", "a/checkpoint"),
        ("dot", "./checkpoint"),
        ("unknown", "notes"),
    ] {
        add(&format!("path-{name}"), renamed(to));
    }
    let repacked = |files: &[(String, Vec<u8>)]| {
        let manifest = canonical::write(&pack.manifest(files)).unwrap();
        tarred(&manifest, files)
    };
    let changed = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        repacked(&files)
    };
    add("files-swapped", changed(&|f| f.swap(0, 1)));
    add("file-twice", changed(&|f| f.insert(1, f[1].clone())));
    add("file-missing", changed(&|f| drop(f.remove(0))));
    add("file-unknown", changed(&|f| f.push(("extra".to_owned(), b"x".to_vec()))));
    add("file-not-in-the-manifest", {
        let mut more = files.clone();
        more.push(("extra".to_owned(), b"x".to_vec()));
        tarred(&manifest, &more)
    });
    add("file-not-in-the-archive", tarred(&manifest, &files[..2]));
    add("empty-line", changed(&|f| f[2].1.insert(0, b'\n')));
    add(
        "last-line-without-its-end",
        changed(&|f| {
            let _ = f[2].1.pop();
        }),
    );
    add(
        "line-too-long",
        changed(&|f| {
            f[2].1.splice(0..0, [vec![b' '; canonical::RECORD_LIMIT_BYTES], b"{}\n".to_vec()].concat());
        }),
    );
    add("line-that-is-no-json", changed(&|f| f[2].1.splice(0..0, *b"hello\n").for_each(drop)));
    add("about-too-large", changed(&|f| f[0].1.extend(vec![b' '; 64 << 10])));
    add(
        "about-with-another-member",
        changed(&|f| f[0].1 = br#"{"made":1,"maker":"m","query":"q","who":"x"}"#.to_vec()),
    );
    add("content-changed", {
        let mut files = files.clone();
        files[0].1[3] ^= 1;
        tarred(&manifest, &files)
    });
    let bytes = tarred(&manifest, &files);
    add("cut-short", bytes[..bytes.len() - 1].to_vec());
    add("cut-to-its-manifest", bytes[..512].to_vec());
    add("goes-on", [bytes.clone(), vec![0; 512]].concat());
    add("header-of-another-owner", with_byte(&bytes, 108, b'1'));
    add("padding-not-zeros", with_byte(&bytes, 512 + manifest.len(), 1));
    add("size-in-another-base", with_byte(&bytes, 124, 0x80));
    let key_twice = String::from_utf8(lines(&pack.entries)).unwrap().replacen(
        "{\"entry\":",
        "{\"payload\":null,\"entry\":",
        1,
    );
    add("line-with-a-key-twice", changed(&|f| f[2].1 = key_twice.clone().into_bytes()));
}

fn with_byte(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    assert_ne!(changed[at], byte);
    changed[at] = byte;
    changed
}
