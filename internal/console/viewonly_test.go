package console

import (
	"bytes"
	"testing"
)

type said struct {
	name   string
	bytes  []byte
	passed []byte // nil: dropped
}

// viewerSays is a client's whole stream, message by message.
func viewerSays() []said {
	pass := func(name string, b []byte) said { return said{name, b, b} }
	drop := func(name string, b []byte) said { return said{name: name, bytes: b} }
	return []said{
		pass("version", []byte("RFB 003.008\n")),
		pass("security none", []byte{1}),
		{"exclusive becomes shared", []byte{0}, []byte{1}},
		pass("pixel format", append([]byte{0}, make([]byte, 19)...)),
		drop("key", []byte{4, 1, 0, 0, 0, 0, 0, 'a'}),
		pass("encodings", []byte{2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 16}),
		drop("pointer", []byte{5, 1, 0, 9, 0, 9}),
		drop("pointer with many buttons", []byte{5, 0x81, 0, 9, 0, 9, 1}),
		drop("clipboard", []byte{6, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c'}),
		drop("clipboard, extended", []byte{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 1, 0, 0, 0}),
		pass("update request", []byte{3, 1, 0, 0, 0, 0, 4, 0, 3, 0}),
		drop("extended key", []byte{255, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 30}),
		pass("continuous updates", []byte{150, 1, 0, 0, 0, 0, 4, 0, 3, 0}),
		drop("power", []byte{250, 0, 1, 4}),
		drop("size", append([]byte{251, 0, 4, 0, 3, 0, 1, 0}, make([]byte, 16)...)),
		pass("fence", []byte{248, 0, 0, 0, 0x80, 0, 0, 1, 2, 'x', 'y'}),
		pass("fence without payload", []byte{248, 0, 0, 0, 0, 0, 0, 0, 0}),
		pass("update request again", []byte{3, 0, 0, 0, 0, 0, 4, 0, 3, 0}),
	}
}

func TestViewFilterReadsMessagesCutAnywhere(t *testing.T) {
	t.Parallel()
	var all, want []byte
	for _, m := range viewerSays() {
		all, want = append(all, m.bytes...), append(want, m.passed...)
	}
	for size := 1; size <= len(all); size++ {
		var f viewFilter
		var got []byte
		for start := 0; start < len(all); start += size {
			p, err := f.pass(all[start:min(start+size, len(all))])
			if err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			got = append(got, p...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("pieces of %d:\n got %v\nwant %v", size, got, want)
		}
	}
}

func TestViewFilterEndsAtWhatItCannotRead(t *testing.T) {
	t.Parallel()
	hello := []byte("RFB 003.008\n\x01\x01")
	for name, stream := range map[string][]byte{
		"old protocol":            []byte("RFB 003.003\n"),
		"no RFB":                  []byte("GET / HTTP/1.1\r\n"),
		"unknown security":        []byte("RFB 003.008\n\x13"),
		"unknown message":         append(hello, 127),
		"unknown QEMU submessage": append(hello, 255, 1),
	} {
		var f viewFilter
		if _, err := f.pass(stream); err == nil {
			t.Errorf("%s went through", name)
		}
	}
}

// FuzzViewFilter holds what matters: no input message ever comes out, for
// whatever comes out is itself a stream without one.
func FuzzViewFilter(f *testing.F) {
	var all []byte
	for _, m := range viewerSays() {
		all = append(all, m.bytes...)
		f.Add(all, uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		var filter viewFilter
		var out []byte
		for step := int(cut) + 1; len(stream) > 0; {
			n := min(step, len(stream))
			p, err := filter.pass(stream[:n])
			out = append(out, p...)
			if err != nil {
				break
			}
			stream = stream[n:]
		}
		var again viewFilter
		p, err := again.pass(out)
		if err != nil || !bytes.Equal(p, out) {
			t.Fatalf("what came out is not clean: %v\n%v\n%v", err, out, p)
		}
	})
}
