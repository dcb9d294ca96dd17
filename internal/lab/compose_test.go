package lab

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestDeadKeysMarkTheNextLetter(t *testing.T) {
	t.Parallel()
	const grave, acute, circumflex, tilde, diaeresis, shift = 0xfe50, 0xfe51, 0xfe52, 0xfe53, 0xfe57, 0xffe1
	for want, keys := range map[string][]uint32{
		"é":  {acute, 'e'},
		"É":  {acute, shift, 'E'},
		"ô":  {circumflex, 'o'},
		"ñ":  {tilde, 'n'},
		"ÿà": {diaeresis, 'y', grave, 'a'},
		"^":  {circumflex, ' '},
		"~":  {tilde, tilde},
		"´x": {acute, 'x'},
		"´ê": {acute, circumflex, 'e'},
		"aä": {'a', 0xe4},
		"":   {acute},
	} {
		var m modifiers
		var got strings.Builder
		for _, sym := range keys {
			got.WriteString(string(m.compose(sym)))
		}
		if got.String() != want {
			t.Errorf("%x write %q, want %q", keys, got.String(), want)
		}
	}
}

// As the page pastes them: physical keys, by QEMU's message.
func TestAccentsShowOnTheScreen(t *testing.T) {
	t.Parallel()
	v, _, vm := running(t, VCenterOptions{})
	ticket, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, v, vm, "login:")
	c := openScreen(t, ticket.Url, encodingRaw)
	c.update(0)
	c.typeText("root\nx\n")
	eventually(t, v, vm, "root@")
	stroke := func(sym, code uint32) {
		for _, down := range []byte{1, 0} {
			b := binary.BigEndian.AppendUint32([]byte{msgQEMU, 0, 0, down}, sym)
			c.send(binary.BigEndian.AppendUint32(b, code))
		}
	}
	c.typeText("echo caf")
	stroke(0xfe51, 0x0d)
	stroke('e', 0x12)
	c.typeText(" gr\u00fcn")
	eventually(t, v, vm, "echo café grün")
}
