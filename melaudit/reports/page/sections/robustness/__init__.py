"""How decisions hold on pictures unlike these: a file for each part of the section."""
