package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// client speaks tlog-witness to a witness of ours, as a log of x/mod's making.
type client struct {
	url     string
	log     *goLog
	witness *torchwood.CosignatureVerifier
	tally
}

func newClient(url, vkey, origin string) (*client, error) {
	witness, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &client{url: url, log: newLog(origin), witness: witness}, nil
}

// submit takes a new log through its life at the witness, and tries to cheat on the way.
func submit(url, vkey, origin string) error {
	c, err := newClient(url, vkey, origin)
	if err != nil {
		return err
	}
	old := int64(0)
	for _, size := range []int64{1, 2, 2, 255, 256, 257, 700} {
		c.log.grow(size)
		c.cosigned(old, size)
		old = size
	}
	c.answers(409, "a wrong old size", body(256, c.prove(256, 700), c.log.checkpoint(700)))
	c.answers(409, "an old size of zero", body(0, nil, c.log.checkpoint(700)))
	c.answers(400, "sizes that go back", body(700, nil, c.log.checkpoint(257)))
	c.answers(400, "no request", "hello")
	c.answers(422, "no proof", strings.Replace(body(700, nil, c.grown(800)), "\n\n", "\n"+c.log.root(3).String()+"\n\n", 1))

	// The same log, two histories: of the same size, and grown past it with a proof of its own.
	fork := newLog(origin)
	fork.grow(650)
	fork.growWith(900, func(i int64) []byte { return fmt.Appendf(nil, "other %d", i) })
	c.answers(422, "another root of the same size", body(700, nil, fork.checkpoint(700)))
	proof, err := tlog.ProveTree(900, 700, fork)
	must(err)
	c.answers(422, "a fork that grew", body(700, proof, fork.checkpoint(900)))

	// Signed by another key of the log's name, and by a log that the witness does not know.
	impostor := newLogWith(origin, "an impostor's key")
	impostor.grow(800)
	c.answers(403, "another key", body(700, c.prove(700, 800), impostor.checkpoint(800)))
	bad := strings.Replace(string(c.log.checkpoint(800)), "\n800\n", "\n801\n", 1)
	c.answers(403, "a bad signature", body(700, c.prove(700, 800), []byte(bad)))
	stranger := newLog("stranger.example")
	stranger.grow(5)
	c.answers(404, "an unknown log", body(0, nil, stranger.checkpoint(5)))

	c.cosigned(700, 800)
	return c.close()
}

// resume asks after the witness was started anew: it must remember size 800.
func resume(url, vkey, origin string) error {
	c, err := newClient(url, vkey, origin)
	if err != nil {
		return err
	}
	c.log.grow(1_000)
	c.answers(409, "a witness that remembers", body(0, nil, c.log.checkpoint(1_000)))
	c.cosigned(800, 1_000)
	return c.close()
}

func (c *client) grown(size int64) []byte {
	c.log.grow(size)
	return c.log.checkpoint(size)
}

func (c *client) prove(old, size int64) tlog.TreeProof {
	if old == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(size, old, c.log)
	must(err)
	return proof
}

// cosigned asks for a cosignature and checks it with x/mod and torchwood.
func (c *client) cosigned(old, size int64) {
	checkpoint := c.log.checkpoint(size)
	status, _, lines := c.post(body(old, c.prove(old, size), checkpoint))
	log, err := note.NewVerifier(c.log.verifierKey)
	must(err)
	opened, err := note.Open(append(checkpoint, lines...), note.VerifierList(log, c.witness))
	well := status == 200 && err == nil && len(opened.Sigs) == 2
	c.see(well, "size %d from %d: %d %s %v", size, old, status, lines, err)
	if !well {
		return
	}
	stamp, err := torchwood.CosignatureTimestamp(opened.Sigs[1])
	age := time.Since(time.Unix(stamp, 0))
	c.see(err == nil && -time.Minute < age && age < time.Minute, "the time is %d (%v)", stamp, err)
}

func (c *client) answers(want int, what, request string) {
	status, kind, answer := c.post(request)
	c.see(status == want, "%s: %d %s", what, status, answer)
	if want == 409 {
		_, err := fmt.Sscanf(string(answer), "%d\n", new(int64))
		c.see(kind == "text/x.tlog.size" && err == nil, "%s: the type is %q, the body %q", what, kind, answer)
	}
}

func (c *client) post(request string) (status int, kind string, answer []byte) {
	response, err := http.Post(c.url+"/add-checkpoint", "text/plain", bytes.NewReader([]byte(request)))
	must(err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	must(err)
	return response.StatusCode, response.Header.Get("Content-Type"), answer
}

func body(old int64, proof tlog.TreeProof, checkpoint []byte) string {
	lines := fmt.Sprintf("old %d\n", old)
	for _, hash := range proof {
		lines += hash.String() + "\n"
	}
	return lines + "\n" + string(checkpoint)
}
