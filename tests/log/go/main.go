// Command log-tests is the other side of tests/log: golang.org/x/mod/sumdb, transparency-dev/merkle and torchwood
// judge what our log writes, write what ours must judge, and talk to our witness as a log would.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "check":
		err = check(args[1])
	case len(args) == 3 && args[0] == "write":
		err = write(args[1], args[2])
	case len(args) == 2 && args[0] == "key":
		fmt.Println(newLog(args[1]).verifierKey)
	case len(args) == 4 && args[0] == "submit":
		err = submit(args[1], args[2], args[3])
	case len(args) == 4 && args[0] == "resume":
		err = resume(args[1], args[2], args[3])
	default:
		err = errors.New("expected: check DIR | write DIR SEED | key ORIGIN | submit|resume URL WITNESS-VKEY ORIGIN")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check judges each case of a folder; the last line says how many verdicts agree with ours.
func check(dir string) error {
	file, err := os.Open(filepath.Join(dir, "cases"))
	if err != nil {
		return err
	}
	defer file.Close()
	var count tally
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		err := judge(dir, strings.Split(rest, " "))
		count.see((err == nil) == (verdict == "good"), "%s: %v", lines.Text(), err)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return count.close()
}

// tally counts checks and prints the closing line that the test runner reads.
type tally struct{ passed, failed int }

func (t *tally) see(well bool, format string, args ...any) {
	if well {
		t.passed++
		return
	}
	t.failed++
	fmt.Printf("FAILED  "+format+"\n", args...)
}

func (t *tally) close() error {
	fmt.Printf("%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 || t.passed == 0 {
		return errors.New("verdicts differ")
	}
	return nil
}
