"""Checkpoints that are written atomically, checked for damage, and loaded by any number of processes.

step-00000040/
  weights/          every trained weight with its optimizer's moments, in shards (torch.distributed.checkpoint)
  process-0.pt      the other state of each process
  manifest.json     update, processes, threads, and size and checksum of every file; written last
"""
