package lab

// deadKeys lists the keys that make nothing by themselves: what each makes
// before Space, or before a letter that it can't mark, and what it makes of the
// letters that it can, by pairs.
var deadKeys = map[uint32]struct {
	alone rune
	pairs string
}{
	0xfe50: {'`', "aàeèiìoòuùAÀEÈIÌOÒUÙ"},
	0xfe51: {'´', "aáeéiíoóuúyýAÁEÉIÍOÓUÚYÝ"},
	0xfe52: {'^', "aâeêiîoôuûAÂEÊIÎOÔUÛ"},
	0xfe53: {'~', "aãnñoõAÃNÑOÕ"},
	0xfe57: {'¨', "aäeëiïoöuüyÿAÄEËIÏOÖUÜ"},
}

// compose says what a key writes: nothing yet for a dead one, which marks the
// next.
func (m *modifiers) compose(sym uint32) []rune {
	before, waits := deadKeys[m.dead]
	if _, dead := deadKeys[sym]; dead && (!waits || sym != m.dead) {
		m.dead = sym
		if waits {
			return []rune{before.alone}
		}
		return nil
	}
	r := runeOf(sym)
	switch {
	case !waits && r == 0:
		return nil
	case !waits:
		return []rune{r}
	case r == 0 && sym != m.dead: // Shift and its like: the mark still waits
		return nil
	}
	m.dead = 0
	if r == ' ' || r == 0 {
		return []rune{before.alone}
	}
	pairs := []rune(before.pairs)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == r {
			return []rune{pairs[i+1]}
		}
	}
	return []rune{before.alone, r}
}
