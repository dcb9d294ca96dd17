package lab

import (
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// What the guest says of itself is what the machine is.
func TestShellKnowsItsMachineAndReboots(t *testing.T) {
	t.Parallel()
	v, _, vm := running(t, VCenterOptions{})
	ticket, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, v, vm, "login:")
	c := openScreen(t, ticket.Url, encodingZRLE)
	c.update(0)
	c.typeText("root\nx\n")
	eventually(t, v, vm, "root@web")
	for command, want := range map[string]string{
		"help":     "This guest is simulated",
		"hostname": "\nweb\n",
		"ip":       "inet 10.20.0.9/24 scope global ens192",
		"uptime":   " up 0:00:",
		"nonsense": "-bash: nonsense: command not found",
	} {
		c.typeText("clear\n" + command + "\n")
		eventually(t, v, vm, want)
	}
	text := eventually(t, v, vm, "root@web")
	if strings.Contains(text, "Password:") {
		t.Errorf("clear left something:\n%s", text)
	}
	var before mo.VirtualMachine
	if err := vm.Properties(t.Context(), vm.Reference(), []string{"runtime.powerState"}, &before); err != nil {
		t.Fatal(err)
	}
	// The guest goes down and up; the machine stays on, and so does the viewer.
	c.typeText("clear\nreboot\n")
	for strings.Contains(screenText(v, vm), "reboot\n") {
		time.Sleep(2 * time.Millisecond)
	}
	eventually(t, v, vm, "web login:")
	var after mo.VirtualMachine
	if err := vm.Properties(t.Context(), vm.Reference(), []string{"runtime.powerState"}, &after); err != nil {
		t.Fatal(err)
	}
	if before.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn || after.Runtime.PowerState != before.Runtime.PowerState {
		t.Errorf("powered %s, then %s", before.Runtime.PowerState, after.Runtime.PowerState)
	}
	c.update(0)
	c.typeText("root\nx\nuptime\n")
	text = eventually(t, v, vm, " up 0:00:")
	if !regexp.MustCompile(` up 0:00:0\d`).MatchString(text) {
		t.Errorf("it was not restarted:\n%s", text)
	}
}

// A viewer is told of physical keys once, and of the screen's size whenever it
// changes, as it does while the machine starts.
func TestViewerIsToldOfKeysAndSize(t *testing.T) {
	t.Parallel()
	v, _, vm := running(t, VCenterOptions{GuestBootDelay: 300 * time.Millisecond})
	eventually(t, v, vm, "login:")
	ticket, err := vm.AcquireTicket(t.Context(), "webmks")
	if err != nil {
		t.Fatal(err)
	}
	c := openScreen(t, ticket.Url, encodingRaw)
	var told []int32 // encodings of no pixels
	sizes := map[[2]int]bool{{c.width, c.height}: true}
	look := func(incremental byte) {
		request := binary.BigEndian.AppendUint16([]byte{msgUpdateRequest, incremental, 0, 0, 0, 0}, uint16(c.width))
		c.send(binary.BigEndian.AppendUint16(request, uint16(c.height)))
		head := c.take(4)
		for range binary.BigEndian.Uint16(head[2:]) {
			h := c.take(12)
			w, ht := int(binary.BigEndian.Uint16(h[4:])), int(binary.BigEndian.Uint16(h[6:]))
			switch encoding := int32(binary.BigEndian.Uint32(h[8:])); encoding {
			case encodingRaw:
				c.take(w * ht * 4)
			case encodingDesktopSize:
				c.width, c.height = w, ht
				sizes[[2]int{w, ht}] = true
				told = append(told, encoding)
			default:
				told = append(told, encoding)
			}
		}
	}
	look(0)
	if !slices.Equal(told, []int32{encodingQEMUKeys}) {
		t.Fatalf("first told %v", told)
	}
	c.press(keyCtrlLeft, 1)
	c.press(keyAltLeft, 1)
	c.press(keyDelete, 1)
	want := map[[2]int]bool{
		{firmwareColumns * cellWidth, firmwareRows * cellHeight}: true,
		{systemColumns * cellWidth, systemRows * cellHeight}:     true,
	}
	for deadline := time.Now().Add(15 * time.Second); len(sizes) < len(want) || c.width != systemColumns*cellWidth; {
		if time.Now().After(deadline) {
			t.Fatalf("sizes seen: %v", sizes)
		}
		look(1)
	}
	for size := range sizes {
		if !want[size] {
			t.Errorf("a size of %v", size)
		}
	}
	if slices.Contains(told[1:], encodingQEMUKeys) {
		t.Error("told of the keys more than once")
	}
}

// Neighbouring rows that changed alike are one rectangle.
func TestDamageIsCoalesced(t *testing.T) {
	t.Parallel()
	f := frame{cols: 80, rows: 25}
	var d damage
	d.all(f.rows)
	if got := d.areas(f); !slices.Equal(got, []area{{0, 0, 80, 25}}) {
		t.Errorf("a whole screen is %v", got)
	}
	d = damage{}
	// Any number of changes, in whatever order: a span for each row.
	for _, at := range [][2]int{{9, 19}, {3, 5}, {3, 19}, {4, 19}, {4, 7}, {4, 5}, {5, 20}, {5, 5}, {3, 11}, {9, 5}} {
		d.add(at[0], at[1])
	}
	if got := d.areas(f); !slices.Equal(got, []area{{5, 3, 15, 2}, {5, 5, 16, 1}, {5, 9, 15, 1}}) {
		t.Errorf("four rows are %v", got)
	}
}
