package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// goLog is a log of x/mod's making: its tree, and its key, which is the same for the same origin.
type goLog struct {
	origin      string
	size        int64
	hashes      []tlog.Hash
	signer      note.Signer
	verifierKey string
}

func newLog(origin string) *goLog { return newLogWith(origin, "key of "+origin) }

func newLogWith(origin, key string) *goLog {
	seed := sha256.Sum256([]byte(key))
	secret, public := seedKey(origin, 1, seed)
	signer, err := note.NewSigner(secret)
	must(err)
	return &goLog{origin: origin, signer: signer, verifierKey: public}
}

// seedKey spells a key pair of a signature type as signed-note does.
func seedKey(name string, kind byte, seed [32]byte) (secret, public string) {
	key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	typed := append([]byte{kind}, key...)
	digest := sha256.Sum256(append([]byte(name+"\n"), typed...))
	id := fmt.Sprintf("%08x", binary.BigEndian.Uint32(digest[:4]))
	private := base64.StdEncoding.EncodeToString(append([]byte{kind}, seed[:]...))
	secret = fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, id, private)
	return secret, fmt.Sprintf("%s+%s+%s", name, id, base64.StdEncoding.EncodeToString(typed))
}

func (l *goLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = l.hashes[index]
	}
	return out, nil
}

func (l *goLog) grow(size int64) { l.growWith(size, entry) }

func (l *goLog) growWith(size int64, entry func(int64) []byte) {
	for ; l.size < size; l.size++ {
		hashes, err := tlog.StoredHashes(l.size, entry(l.size), l)
		must(err)
		l.hashes = append(l.hashes, hashes...)
	}
}

func (l *goLog) root(size int64) tlog.Hash {
	root, err := tlog.TreeHash(size, l)
	must(err)
	return root
}

func (l *goLog) checkpoint(size int64, others ...note.Signer) []byte {
	text := torchwood.Checkpoint{Origin: l.origin, Tree: tlog.Tree{N: size, Hash: l.root(size)}}.String()
	signed, err := note.Sign(&note.Note{Text: text}, append([]note.Signer{l.signer}, others...)...)
	must(err)
	return signed
}

type writer struct {
	dir   string
	log   *goLog
	cases []string
	rand  *rand.Rand
}

// write makes cases for ours to judge: what x/mod and torchwood say of the same leaves, and the same spoiled.
func write(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	w := &writer{dir: dir, log: whole(), rand: rand.New(rand.NewPCG(n, 1))}
	sizes := []int64{1, 2, 255, 256, 257, 65_535, 65_536, 65_537}
	for range 6 {
		sizes = append(sizes, 1+w.rand.Int64N(65_000))
	}
	for _, size := range sizes {
		root := w.log.root(size)
		w.say("good root %d %s", size, root)
		w.say("bad root %d %s", size, w.flip(root))
		for range 8 {
			w.inclusion(size, root)
			w.consistency(size, root)
		}
		w.signed(size, root)
		if size <= 300 || size == 65_535 || size == 65_537 {
			w.tiles(size, root)
		}
	}
	w.file("cases", strings.Join(w.cases, "\n")+"\n")
	fmt.Println(len(w.cases), "cases")
	return nil
}

func (w *writer) inclusion(size int64, root tlog.Hash) {
	index := w.rand.Int64N(size)
	proof, err := tlog.ProveRecord(size, index, w.log)
	must(err)
	leaf := tlog.RecordHash(entry(index))
	w.say("good inclusion %d %d %s %s %s", index, size, leaf, root, spell(proof))
	w.say("bad inclusion %d %d %s %s %s", index, size, w.flip(leaf), root, spell(proof))
	w.say("bad inclusion %d %d %s %s %s", index, size, leaf, w.flip(root), spell(proof))
	for _, spoiled := range w.spoil(proof) {
		w.say("bad inclusion %d %d %s %s %s", index, size, leaf, root, spell(spoiled))
	}
}

func (w *writer) consistency(size int64, root tlog.Hash) {
	old := 1 + w.rand.Int64N(size)
	proof, err := tlog.ProveTree(size, old, w.log)
	must(err)
	oldRoot := w.log.root(old)
	w.say("good consistency %d %d %s %s %s", old, size, oldRoot, root, spell(proof))
	w.say("bad consistency %d %d %s %s %s", old, size, w.flip(oldRoot), root, spell(proof))
	w.say("bad consistency %d %d %s %s %s", old, size, oldRoot, w.flip(root), spell(proof))
	for _, spoiled := range w.spoil(proof) {
		w.say("bad consistency %d %d %s %s %s", old, size, oldRoot, root, spell(spoiled))
	}
}

// tiles writes the tree's tiles as files, and once more with one bit of one leaf hash changed.
func (w *writer) tiles(size int64, root tlog.Hash) {
	for _, verdict := range []string{"good", "bad"} {
		name := fmt.Sprintf("tiles-%d-%s", size, verdict)
		spoiled := w.rand.Int64N(size)
		for _, tile := range tlog.NewTiles(torchwood.TileHeight, 0, size) {
			data, err := tlog.ReadTileData(tile, w.log)
			must(err)
			if at := spoiled - tile.N*256; verdict == "bad" && tile.L == 0 && 0 <= at && at < int64(tile.W) {
				data[at*32+w.rand.Int64N(32)] ^= 1 << w.rand.IntN(8)
			}
			w.file(filepath.Join(name, torchwood.TilePath(tile)), string(data))
		}
		w.say("%s tiles %d %s %s", verdict, size, root, name)
	}
}

// signed writes notes, cosignatures, policies and proof files over the tree.
func (w *writer) signed(size int64, root tlog.Hash) {
	name := fmt.Sprintf("note-%d", size)
	plain := w.log.checkpoint(size)
	w.file(name, string(plain))
	w.say("good note %s %s", name, w.log.verifierKey)
	w.say("bad note %s %s", name, newLog("vectors.example/other").verifierKey)
	for i, spoiled := range w.edits(string(plain)) {
		w.file(fmt.Sprintf("%s-%d", name, i), spoiled)
		w.say("bad note %s-%d %s", name, i, w.log.verifierKey)
	}

	one, two, absent := witness("w1"), witness("w2"), witness("w3")
	cosigned := w.log.checkpoint(size, one, two)
	name = fmt.Sprintf("cosigned-%d", size)
	w.file(name, string(cosigned))
	w.say("good cosigned %s %s %s", name, w.log.verifierKey, one.Verifier())
	w.say("good cosigned %s %s %s", name, w.log.verifierKey, two.Verifier())
	w.say("bad cosigned %s %s %s", name, w.log.verifierKey, absent.Verifier())
	// The one that signed last is the one whose signature is spoiled.
	for i, spoiled := range w.edits(string(w.log.checkpoint(size, one))) {
		w.file(fmt.Sprintf("%s-%d", name, i), spoiled)
		w.say("bad cosigned %s-%d %s %s", name, i, w.log.verifierKey, one.Verifier())
	}

	keys := fmt.Sprintf("log %s\nwitness a %s\nwitness b %s https://b.example/\nwitness c %s\n",
		w.log.verifierKey, one.Verifier(), two.Verifier(), absent.Verifier())
	w.file("needs-two", keys+"group g 2 a b c\nquorum g\n")
	w.file("needs-three", keys+"group g all a b c\nquorum g\n")
	w.say("good policy needs-two %s %s", name, w.log.origin)
	w.say("bad policy needs-three %s %s", name, w.log.origin)

	index := w.rand.Int64N(size)
	proof, err := tlog.ProveRecord(size, index, w.log)
	must(err)
	leaf, file := tlog.RecordHash(entry(index)), fmt.Sprintf("proof-%d", size)
	w.file(file, string(torchwood.FormatProof(index, proof, cosigned)))
	w.file(file+"-extra", string(torchwood.FormatProofWithExtraData(index, []byte("extra"), proof, cosigned)))
	for _, file := range []string{file, file + "-extra"} {
		w.say("good proof %s %s needs-two %s", file, leaf, w.log.origin)
		w.say("bad proof %s %s needs-three %s", file, leaf, w.log.origin)
		w.say("bad proof %s %s needs-two %s", file, w.flip(leaf), w.log.origin)
		w.say("bad proof %s %s needs-two %s", file, leaf, "other.example")
	}
}

func witness(name string) *torchwood.CosignatureSigner {
	seed := sha256.Sum256([]byte("key of " + name))
	signer, err := torchwood.NewCosignatureSigner("witness.example/"+name, ed25519.NewKeyFromSeed(seed[:]))
	must(err)
	return signer
}

// edits changes one character of the size, of the root, and of the last signature.
func (w *writer) edits(text string) []string {
	var out []string
	for _, at := range []int{strings.Index(text, "\n") + 1, strings.Index(text, "\n\n") - 20, len(text) - 20} {
		spoiled := []byte(text)
		switch c := spoiled[at]; {
		case '0' <= c && c < '9':
			spoiled[at]++
		case c == '9':
			spoiled[at] = '1'
		case c == 'A':
			spoiled[at] = 'B'
		default:
			spoiled[at] = 'A'
		}
		out = append(out, string(spoiled))
	}
	return out
}

// spoil answers proofs that differ: a hash more, a hash less, a bit, an order.
func (w *writer) spoil(proof []tlog.Hash) [][]tlog.Hash {
	out := [][]tlog.Hash{append(proof[:len(proof):len(proof)], w.flip(tlog.Hash{}))}
	if n := len(proof); n > 0 {
		out = append(out, proof[:n-1])
		changed := append([]tlog.Hash{}, proof...)
		at := w.rand.IntN(n)
		changed[at] = w.flip(changed[at])
		out = append(out, changed)
	}
	if len(proof) > 1 {
		swapped := append([]tlog.Hash{}, proof...)
		swapped[0], swapped[1] = swapped[1], swapped[0]
		out = append(out, swapped)
	}
	return out
}

func (w *writer) flip(hash tlog.Hash) tlog.Hash {
	hash[w.rand.IntN(len(hash))] ^= 1 << w.rand.IntN(8)
	return hash
}

func (w *writer) say(format string, args ...any) {
	w.cases = append(w.cases, fmt.Sprintf(format, args...))
}

func (w *writer) file(name, content string) {
	path := filepath.Join(w.dir, name)
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	must(os.WriteFile(path, []byte(content), 0o644))
}

func spell(proof []tlog.Hash) string {
	if len(proof) == 0 {
		return "-"
	}
	var words []string
	for _, hash := range proof {
		words = append(words, hash.String())
	}
	return strings.Join(words, ",")
}
