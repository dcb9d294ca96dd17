package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

// sample makes an export of a few events, always the same.
func sample(tb testing.TB, sealed, unsealed int) (text []byte, key *Key) {
	tb.Helper()
	seed := sha256.Sum256([]byte("sample"))
	key = &Key{private: ed25519.NewKeyFromSeed(seed[:])}
	const org = models.OrgID("0190a000-0000-7000-8000-00000000000a")
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := appendObject(nil, header{Export: exportForm, Org: org, Slug: "acme", At: start, Complete: true})
	if err != nil {
		tb.Fatal(err)
	}
	previous := genesis
	for i := 1; i <= sealed+unsealed; i++ {
		id := models.EventID(fmt.Sprintf("0190a000-0000-7000-8000-%012d", i))
		e := entry{sequence: int64(i), event: id, previous: previous, body: fmt.Sprintf(`{"at":%q,"id":%q,"n":%d,"org":%q}`,
			start.Add(time.Duration(i)*time.Second).Format(timeLayout), id, i, org)}
		if i > sealed {
			text = appendUnsealed(text, &e)
			continue
		}
		e.hash = Hash(previous, org, e.sequence, id, e.body)
		previous = e.hash
		text = appendEntry(text, &e)
		if i%max(3, sealed/10) == 0 || i == sealed {
			c := models.AuditCheckpoint{OrgID: org, Sequence: e.sequence, Hash: e.hash, At: start, KeyID: key.Public().ID()}
			c.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key.private, message(c)))
			if text, err = appendObject(text, checkpointLine{c}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	text, err = appendObject(text, footer{End: true, Sealed: int64(sealed), Unsealed: int64(unsealed)})
	if err != nil {
		tb.Fatal(err)
	}
	return text, key
}

func events(text []byte) []string {
	var list []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, lineSequence) {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	return list
}

// FuzzVerify holds that whatever is called intact has, up to where it is
// signed, the very bytes that were sealed. Run it with -fuzzminimizetime 1x:
// shortening an export breaks it, and takes the engine a minute each time.
func FuzzVerify(f *testing.F) {
	original, key := sample(f, 7, 2)
	f.Add(original)
	f.Add(original[:len(original)/2])
	f.Add([]byte(`{"millwright_export":1,"org":"x","slug":"x","at":"2026-01-02T03:04:05Z","complete":true}` + "\n" + `{"end":true,"sealed":0,"unsealed":0}`))
	want := events(original)
	f.Fuzz(func(t *testing.T, text []byte) {
		report, err := VerifyExport(bytes.NewReader(text), key.Public(), nil)
		_ = report.String()
		if err != nil || !report.Intact() {
			return
		}
		got := events(text)
		if report.Signed < 1 || int(report.Signed) > len(want) || len(got) < int(report.Signed) {
			t.Fatalf("%+v with %d events", report, len(got))
		}
		for i := range report.Signed {
			if got[i] != want[i] {
				t.Fatalf("event %d is called intact and says %s", i+1, got[i])
			}
		}
	})
}

// One byte changed anywhere among what is signed is seen.
func TestNoByteCanBeChangedUnseen(t *testing.T) {
	t.Parallel()
	original, key := sample(t, 7, 1)
	report, err := VerifyExport(bytes.NewReader(original), key.Public(), nil)
	if err != nil || !report.Intact() || report.Signed != 7 || report.Unsealed != 1 {
		t.Fatalf("%s: %v", report, err)
	}
	start := bytes.IndexByte(original, '\n') + 1
	end := bytes.Index(original, []byte(lineUnsealed))
	for i := start; i < end; i++ {
		changed := bytes.Clone(original)
		changed[i] ^= 1
		report, err := VerifyExport(bytes.NewReader(changed), key.Public(), nil)
		// The name of a checkpoint's key may be spoilt: the others still speak.
		if err == nil && report.Intact() && report.OtherKeys == 0 {
			t.Fatalf("byte %d: %q became %q and it is intact", i, original[i], changed[i])
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	text, key := sample(b, 20_000, 0)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if report, err := VerifyExport(bytes.NewReader(text), key.Public(), nil); err != nil || !report.Intact() {
			b.Fatal(report, err)
		}
	}
}
