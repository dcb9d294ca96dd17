package audit

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/millwright/millwright/models"
)

// Looking through a text by hand tells what parsing it does.
func FuzzHead(f *testing.F) {
	for _, body := range []string{
		`{"action":"a","after":{"at":"no","id":"\"}"},"at":"2026-01-02T03:04:05.000006Z","id":"e","org":"o"}`,
		`{"id":"e","at":"2026-02-31T03:04:05.000006Z","org":"o"}`, `{"id":"e","id":"f","at":"2026-01-02T03:04:05.000006Z","org":"o"}`,
		`{"id":"\u0065","at":"2026-01-02T03:04:05.000006Z","org":"o","l":[1,{"x":"]"}]}`, `{"id":"e"`, `{}`, ``, `{"at":"2026-01-02T03:04:05Z","id":"e","org":"o"} `,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var told struct {
			ID  models.EventID `json:"id"`
			Org models.OrgID   `json:"org"`
			At  time.Time      `json:"at"`
		}
		err := json.Unmarshal([]byte(body), &told)
		h, ok := headOf(body)
		if err != nil { // what is no JSON is no event of ours, and its hash isn't either
			return
		}
		if !ok || h.id != told.ID || h.org != told.Org || !h.at.Equal(told.At) {
			t.Fatalf("%q: by hand %+v %t, parsed %+v", body, h, ok, told)
		}
	})
}
