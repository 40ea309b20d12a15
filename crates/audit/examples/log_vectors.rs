//! Trades test vectors with other people's verifiers: `write DIR SEED` makes good and spoiled roots, proofs, tiles,
//! notes and cosignatures for logs of the leaves `entry 0`, `entry 1`, ...; `check DIR` judges what another program
//! wrote in the same form. `tests/log` runs it against Go and Python.
//!
//! A line of `DIR/cases` is a verdict (`good` or `bad`), a kind and its words; hashes are base64, proofs are hashes
//! with commas between them or `-`, files stand in DIR.
#![allow(clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fs;
use std::path::{Path, PathBuf};

use audit::{
    Checkpoint, CosignatureTime, Ed25519Signer, Error, Frontier, Hash, MAX_PROOF_HASHES, Note,
    NoteSigner as _, Policy, SignedCheckpoint, TileHash, TileId, TilePath, Tiles, TlogProof, TreeReader,
    VerifierKey, WitnessKey, WitnessSigner, check_every_tile, decode_tile, encode_tile, leaf_hash,
    root_from_tiles, verify_consistency, verify_inclusion,
};

type Outcome<T> = Result<T, Box<dyn StdError>>;

/// The sizes at which trees and tiles change their shape.
const SIZES: [u64; 8] = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537];

const ORIGIN: &str = "vectors.example/rust";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", folder, seed] => write(Path::new(folder), seed.parse()?),
        ["check", folder] => check(Path::new(folder)),
        _ => Err("expected `write DIR SEED` or `check DIR`".into()),
    }
}

/// Judges each case; the last line says how many verdicts agree with ours.
fn check(folder: &Path) -> Outcome<()> {
    let (mut passed, mut failed) = (0, 0);
    for line in fs::read_to_string(folder.join("cases"))?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let Some((verdict, case)) = words.split_first() else {
            continue;
        };
        let judged = judge(folder, case);
        if judged.is_ok() == (*verdict == "good") {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED  {line}: {:?}", judged.err().map(|error| error.to_string()));
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { Ok(()) } else { Err("verdicts differ".into()) }
}

fn judge(folder: &Path, case: &[&str]) -> Outcome<()> {
    let read = |name: &str| fs::read(folder.join(name));
    match *case {
        ["root", size, root] => {
            let root: Hash = root.parse()?;
            (Log::of_size(size.parse()?)?.frontier.root() == root).then_some(()).ok_or("another root")?;
        }
        ["inclusion", index, size, leaf, root, proof] => {
            verify_inclusion(leaf.parse()?, index.parse()?, size.parse()?, &hashes(proof)?, root.parse()?)?;
        }
        ["consistency", old, new, old_root, new_root, proof] => {
            let (old_root, new_root) = (old_root.parse()?, new_root.parse()?);
            verify_consistency(old.parse()?, old_root, new.parse()?, new_root, &hashes(proof)?)?;
        }
        ["tiles", size, root, tiles] => {
            check_every_tile(&Files(folder.join(tiles)), size.parse()?, root.parse()?)?
        }
        ["note", file, key] => {
            Note::parse(&read(file)?)?.verify(&[key.parse::<VerifierKey>()?])?;
        }
        ["cosigned", file, log, witness] => {
            let opened = Checkpoint::open(&read(file)?, &[log.parse()?])?;
            let known = [witness.parse::<WitnessKey>()?];
            opened.cosignatures(&known)?.first().ok_or("not cosigned")?;
        }
        ["policy", file, note, origin] => {
            let policy = Policy::parse(&read(file)?)?;
            policy.check(&Note::parse(&read(note)?)?, origin)?.require()?;
        }
        ["proof", file, leaf, policy, origin] => {
            let policy = Policy::parse(&read(policy)?)?;
            TlogProof::parse(&read(file)?)?.verify_by(leaf.parse()?, &policy, origin)?;
        }
        _ => return Err("no such case".into()),
    }
    Ok(())
}

fn hashes(proof: &str) -> Result<Vec<Hash>, Error> {
    if proof == "-" {
        Ok(Vec::new())
    } else {
        proof.split(',').take(MAX_PROOF_HASHES + 1).map(str::parse).collect()
    }
}

/// Tiles as files, as a mirror would have them.
struct Files(PathBuf);

impl Tiles for Files {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let path = TilePath::Hashes(TileId::new(level, index, width)?).to_string();
        let bytes = fs::read(self.0.join(path)).map_err(|_| Error::TileMissing { level, index })?;
        decode_tile(&bytes, width)
    }
}

/// A whole log in memory. A smaller tree's rows are the beginnings of a larger one's.
struct Log {
    frontier: Frontier,
    rows: BTreeMap<u8, Vec<Hash>>,
}

impl Log {
    fn of_size(size: u64) -> Result<Self, Error> {
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        let mut frontier = Frontier::new();
        let mut rows: BTreeMap<u8, Vec<Hash>> = BTreeMap::new();
        for TileHash { level, hash, .. } in frontier.append_all(&leaves)? {
            rows.entry(level).or_default().push(hash);
        }
        rows.insert(0, leaves);
        Ok(Self { frontier, rows })
    }

    fn root(&self, size: u64) -> Result<Hash, Error> {
        root_from_tiles(self, size)
    }
}

impl Tiles for Log {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let missing = || Error::TileMissing { level, index };
        let start = usize::try_from(index * 256).map_err(|_| missing())?;
        let row = self.rows.get(&level).ok_or_else(missing)?;
        row.get(start..start + usize::from(width)).map(<[Hash]>::to_vec).ok_or_else(missing)
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(format!("entry {index}").as_bytes())
}

fn write(folder: &Path, seed: u64) -> Outcome<()> {
    let mut random = Random(seed | 1);
    let sizes: BTreeSet<u64> = SIZES.into_iter().chain((0..6).map(|_| 1 + random.below(65_000))).collect();
    let log = Log::of_size(65_537)?;
    let mut vectors = Vectors { folder: folder.to_owned(), cases: Vec::new(), random };
    for size in sizes {
        let root = log.root(size)?;
        vectors.cases.push(format!("good root {size} {root}"));
        vectors.proofs(&log, size, root)?;
        vectors.tiles(&log, size, root)?;
        vectors.signed(&log, size, root)?;
    }
    vectors.file("cases", vectors.cases.join("\n") + "\n")?;
    println!("{} cases", vectors.cases.len());
    Ok(())
}

struct Vectors {
    folder: PathBuf,
    cases: Vec<String>,
    random: Random,
}

impl Vectors {
    fn proofs(&mut self, log: &Log, size: u64, root: Hash) -> Outcome<()> {
        let mut tree = TreeReader::open(log, size, root)?;
        let drawn: Vec<u64> = (0..4).map(|_| self.random.below(size)).collect();
        let indices: BTreeSet<u64> = [0, 1, 255, 256, size / 2, size - 1].into_iter().chain(drawn).collect();
        for index in indices.into_iter().filter(|index| *index < size) {
            let proof = tree.inclusion_proof(index)?;
            let mut say = |verdict: &str, leaf: Hash, root: Hash, proof: &[Hash]| {
                self.cases
                    .push(format!("{verdict} inclusion {index} {size} {leaf} {root} {}", spelled(proof)));
            };
            say("good", leaf(index), root, &proof);
            say("bad", leaf(index + 1), root, &proof);
            say("bad", leaf(index), flipped(root, index), &proof);
            for spoiled in spoil(&proof, index) {
                say("bad", leaf(index), root, &spoiled);
            }
        }
        let drawn: Vec<u64> = (0..4).map(|_| 1 + self.random.below(size)).collect();
        let olds: BTreeSet<u64> =
            [1, 2, 255, 256, 257, size / 2, size - 1, size].into_iter().chain(drawn).collect();
        for old in olds.into_iter().filter(|old| (1..=size).contains(old)) {
            let (proof, old_root) = (tree.consistency_proof(old)?, log.root(old)?);
            let mut say = |verdict: &str, old_root: Hash, new_root: Hash, proof: &[Hash]| {
                let proof = spelled(proof);
                self.cases.push(format!("{verdict} consistency {old} {size} {old_root} {new_root} {proof}"));
            };
            say("good", old_root, root, &proof);
            say("bad", flipped(old_root, old), root, &proof);
            say("bad", old_root, flipped(root, old), &proof);
            for spoiled in spoil(&proof, old) {
                say("bad", old_root, root, &spoiled);
            }
        }
        Ok(())
    }

    /// The tree's tiles, and once more with one bit of one tile changed.
    fn tiles(&mut self, log: &Log, size: u64, root: Hash) -> Outcome<()> {
        // A tree of three levels is many files: the others' shapes are checked by their proofs.
        if size > 300 && ![65_535, 65_537].contains(&size) {
            return Ok(());
        }
        for (verdict, name) in [("good", format!("tiles-{size}")), ("bad", format!("tiles-{size}-spoiled"))] {
            let spoiled = (verdict == "bad").then(|| self.random.below(size));
            for level in 0..8_u8 {
                let entries = size >> (8 * u32::from(level));
                for index in 0..entries.div_ceil(256) {
                    let width = u16::try_from((entries - index * 256).min(256))?;
                    let mut tile = log.tile(level, index, width)?;
                    if let Some(hash) = spoiled
                        .filter(|leaf| level == 0 && leaf / 256 == index)
                        .and_then(|leaf| tile.get_mut((leaf % 256) as usize))
                    {
                        *hash = flipped(*hash, size);
                    }
                    let path = TilePath::Hashes(TileId::new(level, index, width)?);
                    self.file(&format!("{name}/{path}"), encode_tile(&tile))?;
                }
            }
            self.cases.push(format!("{verdict} tiles {size} {root} {name}"));
        }
        Ok(())
    }

    /// Notes, cosignatures, policies and proof files over the tree.
    fn signed(&mut self, log: &Log, size: u64, root: Hash) -> Outcome<()> {
        let signer = Ed25519Signer::new(ORIGIN.parse()?, &[7; 32]);
        let key = signer.verifier().clone();
        let stranger = Ed25519Signer::new(ORIGIN.parse()?, &[8; 32]).verifier().clone();
        let mut checkpoint = Checkpoint::new(ORIGIN, size, root, vec![])?.sign(&[&signer])?;
        let note = format!("note-{size}");
        self.file(&note, checkpoint.note().to_string())?;
        self.cases.push(format!("good note {note} {key}"));
        self.cases.push(format!("bad note {note} {stranger}"));
        self.spoiled(&note, &checkpoint.note().to_string(), |name| format!("bad note {name} {key}"))?;

        let witnesses = [witness(1)?, witness(2)?, witness(3)?];
        for (nth, signer) in (0..).zip(witnesses.iter().take(2)) {
            let line = signer.cosign(&checkpoint, CosignatureTime::new(1_700_000_000 + size + nth)?)?;
            checkpoint.attach(&line, signer.key())?;
        }
        let cosigned = format!("cosigned-{size}");
        self.file(&cosigned, checkpoint.note().to_string())?;
        for (verdict, witness) in ["good", "good", "bad"].into_iter().zip(&witnesses) {
            self.cases.push(format!("{verdict} cosigned {cosigned} {key} {}", witness.key()));
        }
        self.policies(&cosigned, &key, &witnesses)?;
        let first = witnesses.first().ok_or("no witness")?.key().clone();
        self.spoiled(&cosigned, &checkpoint.note().to_string(), |name| {
            format!("bad cosigned {name} {key} {first}")
        })?;
        self.proof_files(log, size, root, &checkpoint)
    }

    fn policies(&mut self, note: &str, key: &VerifierKey, witnesses: &[WitnessSigner]) -> Outcome<()> {
        let named = |(nth, signer): (u32, &WitnessSigner)| format!("witness w{nth} {}\n", signer.key());
        let start: String = (1..).zip(witnesses).map(named).collect();
        for (nth, (verdict, rule)) in [
            ("good", "quorum none"),
            ("good", "quorum w1"),
            ("bad", "quorum w3"),
            ("good", "group g 2 w1 w2 w3\nquorum g"),
            ("good", "group g any w3 w1\nquorum g"),
            ("bad", "group g all w1 w2 w3\nquorum g"),
            ("good", "group g any w1 w3\ngroup h all g w2\nquorum h"),
            ("bad", "group g any w1 w2\ngroup h all g w3\nquorum h"),
            ("bad", "group g 0 w1\nquorum g"),
            ("bad", "group g 2 w1\nquorum g"),
            ("bad", "quorum w4"),
            ("bad", ""),
        ]
        .into_iter()
        .enumerate()
        {
            let file = format!("policy-{nth}");
            self.file(&file, format!("# rule {nth}\nlog {key}\n{start}{rule}\n"))?;
            self.cases.push(format!("{verdict} policy {file} {note} {ORIGIN}"));
        }
        Ok(())
    }

    fn proof_files(
        &mut self,
        log: &Log,
        size: u64,
        root: Hash,
        checkpoint: &SignedCheckpoint,
    ) -> Outcome<()> {
        let index = self.random.below(size);
        let hashes = TreeReader::open(log, size, root)?.inclusion_proof(index)?;
        let proof = TlogProof::new(index, hashes, checkpoint.note().clone())?;
        for (name, proof) in [
            (format!("proof-{size}"), proof.clone()),
            (format!("extra-{size}"), proof.with_extra(b"extra".to_vec())?),
        ] {
            self.file(&name, proof.to_string())?;
            let leaf_of = leaf(index);
            self.cases.push(format!("good proof {name} {leaf_of} policy-3 {ORIGIN}"));
            self.cases.push(format!("bad proof {name} {leaf_of} policy-2 {ORIGIN}"));
            self.cases.push(format!("bad proof {name} {} policy-3 {ORIGIN}", leaf(index + 1)));
        }
        Ok(())
    }

    /// Copies of a signed text with one character changed: in the size, the root, and the last signature.
    fn spoiled(&mut self, name: &str, text: &str, case: impl Fn(&str) -> String) -> Outcome<()> {
        // The second witness's line would not be looked at by whoever knows the first alone.
        let lines = text.lines().take(6).map(|line| format!("{line}\n")).collect::<String>();
        let at = [text.find('\n').unwrap_or(0) + 1, text.find("\n\n").unwrap_or(0) - 20, lines.len() - 20];
        for (nth, at) in at.into_iter().enumerate() {
            let mut bytes = lines.clone().into_bytes();
            let byte = bytes.get_mut(at).ok_or("the text is too short")?;
            *byte = if byte.is_ascii_digit() { b'0' + (*byte - b'0' + 1) % 10 } else { b'A' + (*byte & 1) };
            if bytes == lines.as_bytes() {
                continue;
            }
            let spoiled = format!("{name}-spoiled-{nth}");
            self.file(&spoiled, bytes)?;
            self.cases.push(case(&spoiled));
        }
        Ok(())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Outcome<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        Ok(fs::write(path, content)?)
    }
}

fn witness(seed: u8) -> Outcome<WitnessSigner> {
    Ok(WitnessSigner::new(format!("witness.example/w{seed}").parse()?, &[100 + seed; 32]))
}

/// Proofs that differ: a bit, an order, a hash less, a hash more.
fn spoil(proof: &[Hash], salt: u64) -> Vec<Vec<Hash>> {
    let mut spoiled = vec![[proof, &[leaf(salt)]].concat()];
    if let Some((last, rest)) = proof.split_last() {
        spoiled.push(rest.to_vec());
        spoiled.push([rest, &[flipped(*last, salt)]].concat());
    }
    if let [first, second, ..] = proof
        && first != second
    {
        let mut swapped = proof.to_vec();
        swapped.swap(0, 1);
        spoiled.push(swapped);
    }
    spoiled
}

fn flipped(hash: Hash, salt: u64) -> Hash {
    let mut bytes = *hash.as_bytes();
    if let Some(byte) = bytes.get_mut((salt % 32) as usize) {
        *byte ^= 1 << (salt % 8);
    }
    Hash::from_bytes(bytes)
}

fn spelled(proof: &[Hash]) -> String {
    if proof.is_empty() {
        "-".to_owned()
    } else {
        proof.iter().map(Hash::to_string).collect::<Vec<_>>().join(",")
    }
}

/// SplitMix64: the same sizes and places for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
