package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// judge checks one case with every implementation that can. They must agree: one that accepts what another refuses is
// an error of its own.
func judge(dir string, words []string) error {
	if len(words) == 0 {
		return errors.New("no case")
	}
	check, known := map[string]func(string, []string) error{
		"root": root, "inclusion": inclusion, "consistency": consistency, "tiles": tiles,
		"note": signedNote, "cosigned": cosigned, "policy": policy, "proof": proofFile,
	}[words[0]]
	if !known {
		panic("no such case: " + words[0])
	}
	return check(dir, words[1:])
}

// both holds two verdicts on one case against each other.
func both(one, two error) error {
	if (one == nil) != (two == nil) {
		panic(fmt.Sprintf("x/mod says %v, the other says %v", one, two))
	}
	return errors.Join(one, two)
}

// whole is the log of the leaves `entry 0`, `entry 1`, ..., as large as any case asks for.
var whole = sync.OnceValue(func() *goLog {
	log := newLog("vectors.example/go")
	log.grow(65_537)
	return log
})

func root(_ string, words []string) error {
	size, want := number(words[0]), hash(words[1])
	ours, err := tlog.TreeHash(size, whole())
	must(err)
	frontier := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for i := range size {
		must(frontier.Append(rfc6962.DefaultHasher.HashLeaf(entry(i)), nil))
	}
	theirs, err := frontier.GetRootHash(nil)
	must(err)
	return both(same(ours[:], want[:]), same(theirs, want[:]))
}

func inclusion(_ string, words []string) error {
	index, size, leaf, root := number(words[0]), number(words[1]), hash(words[2]), hash(words[3])
	hashes := proofOf(words[4])
	one := tlog.CheckRecord(hashes, size, root, index, leaf)
	two := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], slices(hashes), root[:])
	return both(one, two)
}

func consistency(_ string, words []string) error {
	old, size, oldRoot, newRoot := number(words[0]), number(words[1]), hash(words[2]), hash(words[3])
	hashes := proofOf(words[4])
	one := tlog.CheckTree(hashes, size, newRoot, old, oldRoot)
	two := proof.VerifyConsistency(
		rfc6962.DefaultHasher, uint64(old), uint64(size), slices(hashes), oldRoot[:], newRoot[:])
	return both(one, two)
}

// tiles reads every leaf hash of the tree through x/mod's authenticating reader.
func tiles(dir string, words []string) error {
	size, root := number(words[0]), hash(words[1])
	files, err := torchwood.NewTileFS(os.DirFS(filepath.Join(dir, words[2])))
	if err != nil {
		return err
	}
	tree := tlog.Tree{N: size, Hash: root}
	reader := torchwood.TileHashReaderWithContext(context.Background(), tree, files)
	for start := int64(0); start < size; start += 256 {
		var indexes []int64
		for i := start; i < min(start+256, size); i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, hash := range hashes {
			if hash != tlog.RecordHash(entry(start+int64(i))) {
				return errors.New("another leaf")
			}
		}
	}
	return nil
}

func signedNote(dir string, words []string) error {
	verifier, err := note.NewVerifier(words[1])
	must(err)
	_, err = note.Open(read(dir, words[0]), note.VerifierList(verifier))
	return err
}

func cosigned(dir string, words []string) error {
	log, err := note.NewVerifier(words[1])
	must(err)
	witness, err := torchwood.NewCosignatureVerifier(words[2])
	must(err)
	opened, err := note.Open(read(dir, words[0]), note.VerifierList(log, witness))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != 2 {
		return fmt.Errorf("signed by %d of two", len(opened.Sigs))
	}
	_, err = torchwood.ParseCheckpoint(opened.Text)
	return err
}

func policy(dir string, words []string) error {
	policy, err := torchwood.ParsePolicy(read(dir, words[0]))
	if err != nil {
		return err
	}
	checkpoint, _, err := torchwood.VerifyCheckpoint(read(dir, words[1]), policy)
	if err != nil {
		return err
	}
	return same([]byte(checkpoint.Origin), []byte(words[2]))
}

func proofFile(dir string, words []string) error {
	policy, err := torchwood.ParsePolicy(read(dir, words[2]))
	if err != nil {
		return err
	}
	return torchwood.VerifyProof(policy, hash(words[1]), read(dir, words[0]))
}

func same(found, want []byte) error {
	if !bytes.Equal(found, want) {
		return errors.New("another value")
	}
	return nil
}

func read(dir, name string) []byte {
	content, err := os.ReadFile(filepath.Join(dir, name))
	must(err)
	return content
}

func number(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	must(err)
	return n
}

func hash(word string) tlog.Hash {
	bytes, err := base64.StdEncoding.DecodeString(word)
	must(err)
	return tlog.Hash(bytes)
}

func proofOf(word string) []tlog.Hash {
	var hashes []tlog.Hash
	if word != "-" {
		for part := range strings.SplitSeq(word, ",") {
			hashes = append(hashes, hash(part))
		}
	}
	return hashes
}

func slices(hashes []tlog.Hash) [][]byte {
	var out [][]byte
	for _, hash := range hashes {
		out = append(out, hash[:])
	}
	return out
}

func entry(index int64) []byte {
	return fmt.Appendf(nil, "entry %d", index)
}

// must ends the run where the test itself is broken, and no verdict is meant.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
