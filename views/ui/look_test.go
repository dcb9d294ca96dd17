package ui

import (
	"testing"
	"time"
)

func TestInitialsAreTwoLettersAtMost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Ada Administrator": "AA", "Österreich": "Ö", "a-b c": "AB", "": "", "  ": ""} {
		if got := Initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestElapsedReadsAsTheScriptWritesIt(t *testing.T) {
	t.Parallel()
	for span, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 65 * time.Second: "1 min 05 s", 3*time.Hour + 4*time.Minute: "3 h 04 min",
	} {
		if got := Elapsed(span); got != want {
			t.Errorf("%s: %q, want %q", span, got, want)
		}
	}
}

func TestABarShowsWhateverIsTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole int64
		want        int
	}{{0, 50, 0}, {1, 40000, 1}, {25, 50, 50}, {60, 50, 100}, {5, 0, 0}} {
		if got := percentOf(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %d, want %d", c.part, c.whole, got, c.want)
		}
	}
}

func TestMeterWarnsBeforeItsLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		used, more int64
		want       Tone
	}{{10, 0, Accent}, {70, 15, Warn}, {100, 0, Bad}, {90, 20, Bad}} {
		if got := (MeterProps{Used: c.used, More: c.more, Ceiling: 100}).tone(); got != c.want {
			t.Errorf("%d+%d of 100: %s, want %s", c.used, c.more, got, c.want)
		}
	}
}
